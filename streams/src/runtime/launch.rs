//! `main` of every application.

use std::{net::SocketAddr, process::ExitCode};

use super::{CheckError, StreamsArgs, app, telemetry};
use crate::{
    admin::AdminError,
    disposition::chain,
    metrics::Metrics,
    registry::RegistryError,
    spans::ExportError,
    task::Halt,
    topology::{self, Topology},
    topology_file,
    wire::SchemaError,
};

/// Why an application does not start, or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The graph is wrong.
    #[error("building the topology")]
    Topology(#[from] topology::Error),
    /// Configuration of the application is wrong.
    #[error("{0}")]
    Configuration(String),
    /// The declaration is wrong.
    #[error(transparent)]
    File(#[from] topology_file::Error),
    /// Program, declaration and cluster disagree.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// Kafka does not answer as it should.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// A client cannot be made.
    #[error("making a Kafka client")]
    Kafka(#[from] rdkafka::error::KafkaError),
    /// The registry does not answer as it should.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A schema is not registered.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// Numbers cannot be registered.
    #[error("registering metrics")]
    Metrics(#[from] prometheus::Error),
    /// The health server cannot listen.
    #[error("listening on {listen} for health and metrics (--http-listen)")]
    Listen {
        /// Where.
        listen: SocketAddr,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The collector of spans is no address.
    #[error(transparent)]
    Spans(#[from] ExportError),
    /// The runtime cannot start.
    #[error("starting the asynchronous runtime")]
    Runtime(#[source] std::io::Error),
    /// The application stopped without committing.
    #[error(transparent)]
    Halted(Halt),
    /// The broker does not give the producer its transactional id.
    #[error("taking the transactional id: {0}")]
    Transactions(String),
    /// The stream thread died.
    #[error("the stream thread died: {0}")]
    Thread(String),
}

/// Runs an application to its end: logs, `--describe`, health, signals. Exit code 0 after a stop by
/// signal, 1 when it could not start or halted.
pub fn main<E: std::fmt::Display>(
    args: StreamsArgs,
    topology: impl FnOnce(&Metrics) -> Result<Topology, E>,
) -> ExitCode {
    telemetry::init();
    match start(args, topology) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

fn start<E: std::fmt::Display>(
    args: StreamsArgs,
    topology: impl FnOnce(&Metrics) -> Result<Topology, E>,
) -> Result<(), StartError> {
    let name = std::env::args().next().unwrap_or_default();
    let name = name.rsplit('/').next().unwrap_or_default().to_owned();
    let metrics = Metrics::new(&name)?;
    // `{:#}` shows the causes of an `anyhow::Error` in one line.
    let topology =
        topology(&metrics).map_err(|error| StartError::Configuration(format!("{error:#}")))?;
    if args.describe {
        #[expect(clippy::print_stdout, reason = "the answer of `--describe`")]
        {
            print!("{}", topology.describe());
        }
        return Ok(());
    }
    let settings = app::settings(args, &topology)?;
    app::block_on(app::run(settings, topology, metrics))
}
