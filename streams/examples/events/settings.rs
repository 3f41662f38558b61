//! What the example programs take from the environment, and how it reaches the runtime.

use std::path::PathBuf;
use std::time::Duration;

use apache_avro::{AvroSchema as _, Schema};
use clap::Parser;
use streams::{Application, FixedSchemas, Guarantee, Topology};

use crate::bank::{BankTransaction, TRANSACTION_SCHEMA_ID};

/// A third less processor time for the ledger than with the system's (`docs/PERFORMANCE.md`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Environment (or flags) of an example.
#[derive(Debug, Parser)]
pub(crate) struct Settings {
    /// Kafka's bootstrap servers.
    #[arg(long, env = "BOOTSTRAP")]
    bootstrap: String,
    /// Topic to read.
    #[arg(long, env = "IN_TOPIC")]
    pub(crate) in_topic: String,
    /// Topic to write.
    #[arg(long, env = "OUT_TOPIC")]
    pub(crate) out_topic: String,
    /// Name of the group, and prefix of everything internal.
    #[arg(long, env = "APP_ID")]
    pub(crate) app_id: String,
    /// Folder for the state.
    #[arg(long, env = "STATE_DIR")]
    state_dir: PathBuf,
    /// `eos`: exactly once; `alo`: at least once.
    #[arg(long, env = "GUARANTEE", default_value = "eos", value_parser = guarantee)]
    guarantee: Guarantee,
    /// Milliseconds between commits, at most; the runtime's own for the guarantee unless set.
    #[arg(long, env = "COMMIT_MS")]
    commit_ms: Option<u64>,
    /// The bank to ask, where one is asked.
    #[arg(long, env = "BANK", default_value = "http://127.0.0.1:8080")]
    pub(crate) bank: String,
    /// Questions at the same time.
    #[arg(long, env = "CONCURRENCY", default_value_t = 100)]
    pub(crate) concurrency: usize,
}

impl Settings {
    /// The topology with these settings; `written` is the schema of its output and the id of it.
    pub(crate) fn application(&self, topology: Topology, written: (u32, Schema)) -> Application {
        let (id, schema) = written;
        let schemas = FixedSchemas::new()
            .with(TRANSACTION_SCHEMA_ID, BankTransaction::get_schema())
            .with(id, schema);
        let application = Application::new(topology)
            .bootstrap_servers(&self.bootstrap)
            .state_dir(&self.state_dir)
            .guarantee(self.guarantee)
            .calls_in_flight(self.concurrency)
            .schemas(schemas);
        match self.commit_ms {
            Some(ms) => application.commit_interval(Duration::from_millis(ms)),
            None => application,
        }
    }
}

fn guarantee(text: &str) -> Result<Guarantee, String> {
    match text {
        "eos" => Ok(Guarantee::ExactlyOnce),
        "alo" => Ok(Guarantee::AtLeastOnce),
        _ => Err(format!("`{text}`: expected eos or alo")),
    }
}
