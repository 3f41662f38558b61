//! Logs, to standard error.

use std::io::{self, IsTerminal as _};

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// The HTTP library reports every connection that a scanner drops as an error of its own, the Kafka
/// library every attempt to reach a broker that is away; what matters of both we report ourselves.
const DEFAULT_FILTER: &str = "info,warp=off,hyper=off,rdkafka=off";

/// How the log looks.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Format {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The log's flags.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Format of the log; its level comes from `RUST_LOG`.
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value = "text")]
    log_format: Format,
}

/// Begins logging. To be called once, first.
pub fn init(options: &Options) {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr);
    match options.log_format {
        Format::Text => builder.init(),
        Format::Json => builder.json().init(),
    }
}
