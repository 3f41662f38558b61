//! Logs, to standard error.

use std::io::{self, IsTerminal as _};

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// Our own lines, and those of libraries that say why spans do not arrive. Of all others only errors,
/// and nothing of those that read what strangers send: HTTP/2 has a warning for every stream that is
/// reset too soon, the HTTP library for every connection that a scanner drops, the Kafka library for every
/// attempt to reach a broker that is away. What matters of these we report ourselves, within bounds.
const DEFAULT_FILTER: &str = "error,ingress=info,streams=info,schemas=info,signatures=info,\
                              opentelemetry=warn,warp=off,hyper=off,h2=off,rustls=off,\
                              tokio_rustls=off,tower=off,want=off,mio=off,rdkafka=off,librdkafka=off";

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
    /// Format of the log; its level comes from `RUST_LOG`, which for all of a level (`debug`) has the
    /// lines of libraries too, without a bound: `ingress=debug` has ours.
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::testing::{Log, TestIngress};

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    }

    /// Requests of HTTP/2, each taken back at once: a known way to keep a server busy.
    fn rapid_reset() -> Vec<u8> {
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        bytes.extend(frame(4, 0, 0, &[]));
        for stream in (1..200).step_by(2) {
            // POST, http, /, and the authority `a`
            bytes.extend(frame(1, 4, stream, &[0x83, 0x86, 0x84, 0x41, 0x01, b'a']));
            bytes.extend(frame(3, 0, stream, &8_u32.to_be_bytes()));
        }
        bytes
    }

    async fn log_of_a_rapid_reset(filter: &str) -> String {
        let (log, _guard) = Log::begin(filter);
        let ingress = TestIngress::start().await;
        let mut stream = ingress.connect().await;
        stream.write_all(&rapid_reset()).await.unwrap();
        let mut said = Vec::new();
        // Ends with a GOAWAY, or with a reset.
        drop(stream.read_to_end(&mut said).await);
        log.text()
    }

    #[tokio::test]
    async fn whatever_strangers_do_to_libraries_is_not_in_the_log() {
        let loud = log_of_a_rapid_reset("warn").await;
        assert!(loud.contains("h2::"), "the test should provoke a line: {loud}");
        assert_eq!(log_of_a_rapid_reset(DEFAULT_FILTER).await, "");
    }

    #[test]
    fn our_own_lines_are_in_the_log_and_libraries_may_say_what_has_nothing_to_do_with_strangers() {
        let (log, _guard) = Log::begin(DEFAULT_FILTER);
        tracing::info!(target: "ingress::server", "ours");
        tracing::info!(target: "streams::registry", "ours too");
        tracing::warn!(target: "opentelemetry-otlp", "spans do not arrive");
        tracing::error!(target: "some_library", "broken");
        tracing::error!(target: "h2::proto", "not this");
        tracing::error!(target: "hyper_util::server", "not this");
        tracing::error!(target: "librdkafka", "not this");
        tracing::error!(target: "rustls::common_state", "not this");
        tracing::warn!(target: "some_library", "not this");
        let text = log.text();
        assert_eq!((text.lines().count(), text.contains("not this")), (4, false), "{text}");
    }
}
