//! What is on the cluster: topics, their settings, offsets. And making topics.
//!
//! Calls of librdkafka block; everything here runs them on threads made for that.

mod alter;
mod members;
mod offsets;
mod reset;
mod topics;
pub mod transactions;

#[cfg(test)]
mod tests;

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::AdminClient;
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

pub(crate) use members::{Place, Shares};
pub use offsets::{GroupOffset, Watermarks};
pub use reset::ResetTo;
pub use topics::{TopicSetting, TopicState};

/// How long one question to the cluster may take. A broker that just started needs some seconds to
/// elect leaders; longer than this, and a person should look.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// Why the cluster gave no useful answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdminError {
    /// The client could not be built.
    #[error("cannot make a Kafka client for {servers}")]
    Client {
        /// Bootstrap servers.
        servers: String,
        /// What the library said.
        #[source]
        source: Box<KafkaError>,
    },
    /// No broker answered.
    #[error(
        "Kafka at {servers} does not answer; is it running, and is that its address (KAFKA_BOOTSTRAP_SERVERS, \
         or what the program was given)?"
    )]
    Unreachable {
        /// Bootstrap servers.
        servers: String,
    },
    /// It answered with an error.
    #[error("Kafka at {servers} cannot {action}")]
    Refused {
        /// Bootstrap servers.
        servers: String,
        /// What was asked.
        action: String,
        /// What it said.
        #[source]
        source: Box<KafkaError>,
    },
    /// A topic could not be made.
    #[error("topic `{topic}` cannot be created: {code}")]
    NotCreated {
        /// The topic.
        topic: String,
        /// What the broker said.
        code: RDKafkaErrorCode,
    },
    /// Settings of a topic could not be changed.
    #[error("settings of topic `{topic}` cannot be changed: {reason} ({code})")]
    NotAltered {
        /// The topic.
        topic: String,
        /// What the broker said.
        code: RDKafkaErrorCode,
        /// In which words.
        reason: String,
    },
    /// A group's offsets can be set only while nobody commits others.
    #[error(
        "group `{group}` has members, which would commit over it: stop every instance of the \
         application, and wait until their sessions have ended, however they were stopped: a member \
         keeps its place for a restart (`session_timeout` of the profile)"
    )]
    GroupActive {
        /// The group.
        group: String,
    },
    /// One broker did not do what only it can.
    #[error("the broker at {address} cannot {action}: {reason}")]
    Broker {
        /// Its address; the bootstrap servers when none could be told.
        address: String,
        /// What was asked.
        action: String,
        /// Why not, and what to do.
        reason: String,
    },
    /// The thread that asked ended in a panic.
    #[error("the question to Kafka was not finished")]
    Interrupted(#[from] tokio::task::JoinError),
}

/// Asks and changes the cluster.
#[derive(Clone)]
pub struct Admin {
    servers: String,
    client: std::sync::Arc<AdminClient<DefaultClientContext>>,
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Admin").field("servers", &self.servers).finish_non_exhaustive()
    }
}

impl Admin {
    /// A client of the cluster at `servers` (`host:port`, separated by commas). Nothing is asked yet.
    pub fn new(servers: &str) -> Result<Self, AdminError> {
        let client = config(servers).create().map_err(|source| AdminError::Client {
            servers: servers.to_owned(),
            source: Box::new(source),
        })?;
        Ok(Self { servers: servers.to_owned(), client: std::sync::Arc::new(client) })
    }

    /// The servers this was made for.
    pub fn servers(&self) -> &str {
        &self.servers
    }

    fn error(&self, action: impl Into<String>, source: KafkaError) -> AdminError {
        let servers = self.servers.clone();
        match source.rdkafka_error_code() {
            Some(code) if is_away(code) => AdminError::Unreachable { servers },
            _ => AdminError::Refused { servers, action: action.into(), source: Box::new(source) },
        }
    }
}

/// Whether nobody answered, which is no answer of the cluster.
fn is_away(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::BrokerTransportFailure
            | RDKafkaErrorCode::AllBrokersDown
            | RDKafkaErrorCode::OperationTimedOut
            | RDKafkaErrorCode::Resolve
    )
}

fn config(servers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers);
    // the errors are in the answers; the library's own log lines would repeat them
    config.set("log_level", "2");
    config.set_log_level(rdkafka::config::RDKafkaLogLevel::Critical);
    config
}
