//! Command line of every application.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use super::GroupProtocol;
use crate::topology_file::parse_duration;

/// Longest name of an instance or a run: Kafka takes 249 characters in all, and the name of a
/// changelog or group stands before it.
const NAME_BYTES_MAX: usize = 64;

/// Most calls one process may have out: sockets it can hold open.
const CALLS_MAX: usize = 65_536;

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
    #[arg(long, env = "BANKSTREAM_INSTANCE", value_parser = name, default_value = "1")]
    pub instance: String,
    /// Id of a replay: group, stores and every written topic get it as a suffix.
    #[arg(long, env = "BANKSTREAM_RUN_ID", value_parser = name)]
    pub run_id: Option<String>,
    /// Where to serve /livez, /readyz and /metrics; port 0 takes a free one.
    #[arg(long, env = "BANKSTREAM_HTTP_LISTEN", default_value = "127.0.0.1:0")]
    pub http_listen: SocketAddr,
    /// Longest time from one commit to the next; the profile's interval when absent ("100ms").
    #[arg(long, env = "BANKSTREAM_COMMIT_INTERVAL", value_parser = duration)]
    pub commit_interval: Option<Duration>,
    /// How long work under way may take to finish at shutdown or when partitions move ("10s").
    #[arg(long, env = "BANKSTREAM_DRAIN_TIMEOUT", value_parser = duration, default_value = "10s")]
    pub drain_timeout: Duration,
    /// Where state is kept on disk, in a folder per application and task; without it every start
    /// reads the changelogs from their beginning.
    #[arg(long, env = "BANKSTREAM_STATE_DIR")]
    pub state_dir: Option<PathBuf>,
    /// How the group agrees on who reads what.
    #[arg(long, env = "BANKSTREAM_GROUP_PROTOCOL", default_value = "classic")]
    pub group_protocol: GroupProtocol,
    /// Calls of asynchronous processors at the same time, over all tasks of this process.
    #[arg(long, env = "BANKSTREAM_CALLS_IN_FLIGHT", default_value_t = super::CALLS_IN_FLIGHT_MAX, value_parser = calls)]
    pub calls_in_flight: usize,
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text)
        .ok_or_else(|| format!("`{text}` is no duration; expected one like 100ms, 10s or 5m"))
}

fn calls(text: &str) -> Result<usize, String> {
    let calls = text.parse().ok().filter(|calls| (1..=CALLS_MAX).contains(calls));
    calls.ok_or_else(|| format!("expected a number from 1 to {CALLS_MAX}"))
}

/// Instance and run become parts of topic and group names, where Kafka takes these characters only.
fn name(text: &str) -> Result<String, String> {
    let is_taken = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_taken) {
        Ok(text.to_owned())
    } else {
        Err(format!("expected 1 to {NAME_BYTES_MAX} of the characters a-z A-Z 0-9 . _ -"))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::{NAME_BYTES_MAX, StreamsArgs};

    #[derive(Debug, clap::Parser)]
    struct Program {
        #[command(flatten)]
        streams: StreamsArgs,
    }

    #[test]
    fn a_name_that_kafka_would_refuse_is_refused_on_the_command_line() {
        let check = |flag: &str, value: &str, expect: bool| {
            let parsed = Program::try_parse_from(["app", flag, value]);
            assert_eq!(parsed.is_ok(), expect, "{flag} {value:?}: {parsed:?}");
        };
        for flag in ["--instance", "--run-id"] {
            check(flag, "pod-0_a.b", true);
            check(flag, &"x".repeat(NAME_BYTES_MAX), true);
            check(flag, &"x".repeat(NAME_BYTES_MAX + 1), false);
            check(flag, "", false);
            check(flag, "a b", false);
            check(flag, "a/b", false);
            check(flag, "ä", false);
        }
    }

    #[test]
    fn an_instance_has_a_name_without_being_given_one() {
        let program = Program::parse_from(["app"]);
        assert_eq!((program.streams.instance.as_str(), program.streams.run_id), ("1", None));
    }
}
