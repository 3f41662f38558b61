//! Puts raw records on the topic.

mod kafka;

pub use kafka::{KafkaPublisher, Settings, StartError};

use crate::dedupe::Ticket;
use crate::record::RawRecord;

/// Why a record did not even leave.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The producer does not take it: its queue is full, or it is broken.
    #[error("cannot hand the record to the producer")]
    Enqueue(#[source] rdkafka::error::KafkaError),
}

/// Where accepted requests go. The seam at which tests put a topic of their own.
pub trait Publisher: Send + Sync + 'static {
    /// Sends `record` and settles `ticket` when all in-sync replicas have it, or when that is no
    /// longer to be expected. Does not wait. A ticket that is dropped counts as failed.
    fn publish(&self, record: &RawRecord, ticket: Ticket) -> Result<(), PublishError>;

    /// Asks, for at most `limit`, whether there is anybody to send to; if not, why.
    fn probe(&self, limit: std::time::Duration) -> Result<(), String>;

    /// Waits until everything sent is settled, at most `limit`.
    fn flush(&self, limit: std::time::Duration);
}
