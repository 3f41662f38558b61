//! Command line of every application.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use crate::topology_file::parse_duration;

/// What every application takes from its command line or environment.
#[derive(Clone, Debug, clap::Args)]
pub struct StreamsArgs {
    /// Print this application's topology and exit, without a broker.
    #[arg(long)]
    pub describe: bool,
    /// The pipeline's declaration.
    #[arg(long, env = "TOPOLOGY_FILE", default_value = "topology.toml")]
    pub topology_file: PathBuf,
    /// Which profile of the declaration.
    #[arg(long, env = "BANKSTREAM_PROFILE", default_value = "testing")]
    pub profile: String,
    /// Kafka's bootstrap servers.
    #[arg(long, env = "KAFKA_BOOTSTRAP_SERVERS", default_value = "127.0.0.1:9092")]
    pub bootstrap_servers: String,
    /// Base URL of the schema registry, Confluent-compatible.
    #[arg(
        long,
        env = "SCHEMA_REGISTRY_URL",
        default_value = "http://127.0.0.1:8081/apis/ccompat/v7"
    )]
    pub schema_registry_url: String,
    /// Stable name of this instance within its group (static membership): two instances of one
    /// application need two names.
    #[arg(long, env = "BANKSTREAM_INSTANCE", default_value = "1")]
    pub instance: String,
    /// Id of a replay: group, stores and every written topic get it as a suffix.
    #[arg(long, env = "BANKSTREAM_RUN_ID")]
    pub run_id: Option<String>,
    /// Where to serve /livez, /readyz and /metrics; port 0 takes a free one.
    #[arg(long, env = "BANKSTREAM_HTTP_LISTEN", default_value = "127.0.0.1:0")]
    pub http_listen: SocketAddr,
    /// How often offsets are committed; the profile's interval when absent ("100ms").
    #[arg(long, env = "BANKSTREAM_COMMIT_INTERVAL", value_parser = duration)]
    pub commit_interval: Option<Duration>,
    /// How long work under way may take to finish at shutdown or when partitions move ("10s").
    #[arg(long, env = "BANKSTREAM_DRAIN_TIMEOUT", value_parser = duration, default_value = "10s")]
    pub drain_timeout: Duration,
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text)
        .ok_or_else(|| format!("`{text}` is no duration; expected one like 100ms, 10s or 5m"))
}
