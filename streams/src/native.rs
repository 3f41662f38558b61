//! What the safe API of the Kafka client lacks, or does at a price: the only unsafe code there is.
//!
//! Each part says why it is sound, what it gains and which test holds it. Everything goes through
//! the client that rdkafka made; nothing here starts, configures or ends one. A pointer that belongs
//! to a client is kept beside an [`Arc`](std::sync::Arc) of it, and is given back first.
#![expect(unsafe_code, reason = "calls into librdkafka that rdkafka does not offer")]
#![cfg_attr(
    not(feature = "testing"),
    expect(
        unreachable_pub,
        unused_imports,
        reason = "tests on a real broker reach it from outside"
    )
)]

mod member;
mod offsets;
mod queue;
mod reader;
mod sender;
mod settings;
mod topic;
mod topic_ids;
mod transaction;

#[cfg(test)]
mod tests;

use std::{ffi::c_int, time::Duration};

pub use member::member_id;
pub use offsets::{end_offsets, watermarks};
pub use reader::{BatchReader, FetchError, Fetched, ForwardError, Forwarding, Headers, Waker};
pub use sender::{ProduceError, Sender};
pub use settings::{AlterError, alter_topic_settings};
pub use topic_ids::{TopicId, TopicIds, topic_ids};
pub use transaction::{
    Kind, TransactionError, abort, begin, commit_transaction, dispatch, init, pump, send_offsets,
};

/// Milliseconds for a call of the library; too long a time is the longest.
fn millis(time: Duration) -> c_int {
    c_int::try_from(time.as_millis()).unwrap_or(c_int::MAX)
}
