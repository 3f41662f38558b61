//! The flags, the declared sources, and what must fit together before anything is started.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use signatures::source::{self, SecretStore, SourceConfig, SourceError};
use streams::topology_file::{self, RECORD_OVERHEAD_BYTES, Retention, TopologyFile};
use streams::topology_file::{format_duration, parse_duration};

use crate::capture::TOPIC_BODY_BYTES_MAX;
use crate::recent::{Token, TokenError};
use crate::{capture, dedupe, gate, listen, trace};

/// Flags of the ingress.
#[derive(Clone, Debug, clap::Args)]
pub struct Config {
    /// Address to listen on; port 0 takes a free one, which the log names.
    #[arg(long, env = "INGRESS_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// The pipeline's topics and sources.
    #[arg(long, env = "TOPOLOGY_FILE", default_value = "topology.toml")]
    pub topology_file: PathBuf,
    /// Which of the file's profiles applies.
    #[arg(long, env = "BANKSTREAM_PROFILE", default_value = "testing")]
    pub profile: String,
    /// Sources to take webhooks from; all that are declared when not given.
    #[arg(long, env = "INGRESS_SOURCES", value_delimiter = ',')]
    pub sources: Vec<String>,
    /// Kafka's brokers.
    #[arg(long, env = "KAFKA_BOOTSTRAP_SERVERS", default_value = "127.0.0.1:9092")]
    pub bootstrap_servers: String,
    /// Base address of the Confluent-compatible schema registry.
    #[arg(
        long,
        env = "SCHEMA_REGISTRY_URL",
        default_value = "http://127.0.0.1:8081/apis/ccompat/v7"
    )]
    pub schema_registry_url: String,
    /// Largest body taken, in bytes.
    #[arg(long, env = "INGRESS_BODY_LIMIT", default_value_t = 1024 * 1024, value_parser = number::<usize>)]
    pub body_limit: usize,
    /// Bytes of all bodies in flight together; beyond it the answer is 503.
    #[arg(long, env = "INGRESS_BODIES_LIMIT", default_value_t = 64 * 1024 * 1024, value_parser = number::<usize>)]
    pub bodies_limit: usize,
    /// How long a sender may take to send its body; less where a provider gives up sooner.
    #[arg(long, env = "INGRESS_BODY_TIMEOUT", default_value = "5s", value_parser = span)]
    pub body_timeout: Duration,
    /// How long Kafka may take to acknowledge; then the answer is 503. Less where a provider gives up
    /// sooner: two fifths of its patience.
    #[arg(long, env = "INGRESS_PRODUCE_DEADLINE", default_value = "10s", value_parser = span)]
    pub produce_deadline: Duration,
    /// How long requests in flight may take to finish after SIGTERM.
    #[arg(long, env = "INGRESS_DRAIN", default_value = "30s", value_parser = span)]
    pub drain: Duration,
    /// Event ids remembered at most, 27 bytes each; beyond it the oldest are forgotten, a minute's at
    /// a time.
    #[arg(long, env = "INGRESS_DEDUPE_IDS_MAX", default_value_t = 4_000_000, value_parser = number::<usize>)]
    pub dedupe_ids_max: usize,
    /// Where they are kept over a restart.
    #[command(flatten)]
    pub snapshots: dedupe::SnapshotOptions,
    /// File with the token that shows the last events at `/events`; without it they are not kept.
    #[arg(long, env = "INGRESS_EVENTS_TOKEN_FILE")]
    pub events_token_file: Option<PathBuf>,
    /// The token itself, where there is no file.
    #[arg(long, env = "INGRESS_EVENTS_TOKEN", hide_env_values = true)]
    pub events_token: Option<Token>,
    /// What is kept of rejected requests.
    #[command(flatten)]
    pub capture: capture::Options,
    /// Where spans go.
    #[command(flatten)]
    pub traces: trace::Options,
    /// Bounds of senders.
    #[command(flatten)]
    pub senders: gate::Limits,
    /// Bounds of connections.
    #[command(flatten)]
    pub connections: listen::Limits,
    /// TLS of the listener.
    #[command(flatten)]
    pub tls: listen::tls::Options,
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The topology file.
    #[error(transparent)]
    Topology(#[from] topology_file::Error),
    /// A source's table.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A source is asked for that is not declared.
    #[error("--sources names `{name}`, which {file} does not declare; declared are {declared}")]
    UnknownSource {
        /// The name.
        name: String,
        /// The topology file.
        file: String,
        /// The names that are there.
        declared: String,
    },
    /// An address is allowed to a source that is not declared.
    #[error(
        "--allow names `{name}`, which {file} does not declare; expected such as `up=192.0.2.0/24`"
    )]
    UnknownAllowed {
        /// The name.
        name: String,
        /// The topology file.
        file: String,
    },
    /// The token's file cannot be read.
    #[error("--events-token-file {file}: {source}")]
    TokenFile {
        /// The file.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// Its content is no token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// A topic is not declared.
    #[error("{file}: topic `{topic}` is not declared; the ingress writes it")]
    NoTopic {
        /// The topology file.
        file: String,
        /// The topic.
        topic: &'static str,
    },
    /// A body within the limit might not fit the topic.
    #[error(
        "--body-limit is {limit}; expected at most {most}, which is max_message_bytes of profile \
         `{profile}` less the record's own {RECORD_OVERHEAD_BYTES} bytes"
    )]
    BodyLimit {
        /// The limit given.
        limit: usize,
        /// The limit that fits.
        most: i32,
        /// The profile.
        profile: String,
    },
    /// A kept body might not fit a record of the topic.
    #[error(
        "--capture-body-limit is {limit}; expected at most {TOPIC_BODY_BYTES_MAX} with --capture-topic"
    )]
    CaptureBodyLimit {
        /// The limit given.
        limit: usize,
    },
    /// A request is still taken when its event is forgotten already.
    #[error(
        "{file}: `sources.{name}` takes what was signed up to {tolerance} ago, but remembers event ids \
         for {window} only: who has seen a request could send it again; expected a `dedupe_window` of \
         at least {tolerance}"
    )]
    Tolerance {
        /// The topology file.
        file: String,
        /// The source.
        name: String,
        /// How old a signature may be.
        tolerance: String,
        /// How long ids are remembered.
        window: String,
    },
    /// The topic forgets before the ingress may.
    #[error(
        "{file}: `sources.{name}` remembers event ids for {window}, but `{topic}` keeps its records \
         for {retention} only; expected a retention of at least {window}"
    )]
    Retention {
        /// The topology file.
        file: String,
        /// The source.
        name: String,
        /// How long it remembers.
        window: String,
        /// The topic.
        topic: &'static str,
        /// How long that keeps records.
        retention: String,
    },
}

/// A span of time as flags and the topology file have it.
pub(crate) fn span(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "expected a span such as `500ms`, `10s` or `5m`".to_owned())
}

/// A number as flags have it.
pub(crate) fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| "expected a whole number such as `50`, not too large".to_owned())
}

impl Config {
    /// Reads the topology file and gives the sources to serve, once everything fits together.
    /// Paths of secret files are then relative to the topology file's folder.
    pub fn sources(&self) -> Result<Vec<SourceConfig>, ConfigError> {
        let topology = TopologyFile::load(&self.topology_file)?;
        let file = self.topology_file.display().to_string();
        let declared = source::from_tables(&file, topology.sources())?;
        let is_declared = |name: &str| declared.iter().any(|source| source.name == name);
        if let Some(wrong) = self.senders.allow.iter().find(|it| !is_declared(&it.source)) {
            return Err(ConfigError::UnknownAllowed { name: wrong.source.clone(), file });
        }
        let mut sources = self.chosen(&file, declared)?;
        self.check_body_limit(&topology)?;
        self.check_capture(&file, &topology)?;
        for source in &mut sources {
            check_tolerance(&file, source)?;
            check_retention(&file, &topology, source)?;
            if topology.folder() != Path::new(".") {
                source.anchor_files(topology.folder());
            }
        }
        Ok(sources)
    }

    fn chosen(
        &self,
        file: &str,
        declared: Vec<SourceConfig>,
    ) -> Result<Vec<SourceConfig>, ConfigError> {
        for name in &self.sources {
            if declared.iter().all(|source| source.name != *name) {
                let names: Vec<_> = declared.iter().map(|source| source.name.as_str()).collect();
                return Err(ConfigError::UnknownSource {
                    name: name.clone(),
                    file: file.to_owned(),
                    declared: names.join(", "),
                });
            }
        }
        let wanted =
            |source: &SourceConfig| self.sources.is_empty() || self.sources.contains(&source.name);
        Ok(declared.into_iter().filter(wanted).collect())
    }

    /// The token that shows the last events, if there is one.
    pub fn events_token(&self) -> Result<Option<Token>, ConfigError> {
        let Some(path) = &self.events_token_file else { return Ok(self.events_token.clone()) };
        let read = SystemSecrets.file(path);
        let bytes = read.map_err(|source| ConfigError::TokenFile {
            file: path.display().to_string(),
            source,
        })?;
        Ok(Some(String::from_utf8_lossy(&bytes).parse()?))
    }

    fn check_body_limit(&self, topology: &TopologyFile) -> Result<(), ConfigError> {
        let profile = topology.profile(&self.profile)?;
        let most = profile.max_message_bytes.saturating_sub(RECORD_OVERHEAD_BYTES);
        if i32::try_from(self.body_limit).is_ok_and(|limit| limit <= most) {
            return Ok(());
        }
        let profile = self.profile.clone();
        Err(ConfigError::BodyLimit { limit: self.body_limit, most, profile })
    }

    fn check_capture(&self, file: &str, topology: &TopologyFile) -> Result<(), ConfigError> {
        let capture::Options { topic: is_wanted, body_limit: limit, .. } = self.capture;
        if !is_wanted {
            return Ok(());
        }
        let topic = schemas::topics::WEBHOOKS_REJECTED;
        if !topology.topics().contains_key(topic) {
            return Err(ConfigError::NoTopic { file: file.to_owned(), topic });
        }
        if limit > TOPIC_BODY_BYTES_MAX {
            return Err(ConfigError::CaptureBodyLimit { limit });
        }
        Ok(())
    }

    /// Largest record that the profile's topics take, in bytes.
    pub fn max_message_bytes(&self) -> usize {
        let overhead = usize::try_from(RECORD_OVERHEAD_BYTES).unwrap_or(0);
        self.body_limit.saturating_add(overhead)
    }
}

fn check_tolerance(file: &str, source: &SourceConfig) -> Result<(), ConfigError> {
    let Some(tolerance) = source.tolerance_beyond_window() else { return Ok(()) };
    Err(ConfigError::Tolerance {
        file: file.to_owned(),
        name: source.name.clone(),
        tolerance: format_duration(tolerance),
        window: format_duration(source.dedupe_window),
    })
}

fn check_retention(
    file: &str,
    topology: &TopologyFile,
    source: &SourceConfig,
) -> Result<(), ConfigError> {
    let topic = schemas::topics::WEBHOOKS_RECEIVED;
    let Some(declared) = topology.topics().get(topic) else {
        return Err(ConfigError::NoTopic { file: file.to_owned(), topic });
    };
    match declared.retention {
        Retention::For(retention) if retention < source.dedupe_window => {
            Err(ConfigError::Retention {
                file: file.to_owned(),
                name: source.name.clone(),
                window: format_duration(source.dedupe_window),
                topic,
                retention: format_duration(retention),
            })
        }
        Retention::For(_) | Retention::Forever => Ok(()),
    }
}

/// Secrets from this process's environment and this machine's files.
#[derive(Clone, Copy, Debug)]
pub struct SystemSecrets;

/// Bytes of a file with a secret, a set of public keys or a chain of certificates. A longer one is
/// none of them but a wrong path.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

impl SecretStore for SystemSecrets {
    fn env(&self, name: &str) -> Option<String> {
        #[expect(clippy::disallowed_methods, reason = "the variable's name is configuration")]
        std::env::var(name).ok()
    }

    fn file(&self, path: &Path) -> io::Result<Vec<u8>> {
        if std::fs::metadata(path)?.len() > SECRET_BYTES_MAX {
            return Err(io::Error::other("longer than 64 KiB: neither a secret nor a key"));
        }
        std::fs::read(path)
    }
}

#[cfg(test)]
mod tests;
