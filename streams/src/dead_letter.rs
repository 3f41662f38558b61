//! Records that could not be handled, with the reason, as Kafka Streams writes them (KIP-1034).

use std::sync::Arc;

use crate::{
    disposition::Failure,
    record::{Headers, Outgoing, Position, RawRecord, Timestamp},
};

/// Prefix of every header about the failure.
pub const ERROR_PREFIX: &str = "__streams.errors.";

const EXCEPTION: &str = "__streams.errors.exception";
const MESSAGE: &str = "__streams.errors.message";
const STACKTRACE: &str = "__streams.errors.stacktrace";
const TOPIC: &str = "__streams.errors.topic";
const PARTITION: &str = "__streams.errors.partition";
const OFFSET: &str = "__streams.errors.offset";
const ATTEMPTS: &str = "__streams.errors.attempts";
const FIRST_FAILURE: &str = "__streams.errors.first_failure_ms";
const LAST_FAILURE: &str = "__streams.errors.last_failure_ms";

/// Longest error text that is written.
const MESSAGE_BYTES_MAX: usize = 4 * 1024;

/// Why a record could not be handled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// Type of the error.
    pub exception: String,
    /// The error and its causes.
    pub message: String,
    /// Where it happened: application and processor.
    pub place: String,
    /// The record.
    pub position: Position,
    /// Tries made.
    pub attempts: u32,
    /// Time of the first failure.
    pub first_failure_ms: Timestamp,
    /// Time of the last failure.
    pub last_failure_ms: Timestamp,
}

impl Reason {
    pub(crate) fn new(
        failure: &Failure,
        place: String,
        record: &RawRecord,
        attempts: u32,
        first_failure_ms: Timestamp,
        now: Timestamp,
    ) -> Self {
        Self {
            exception: failure.exception.clone().into_owned(),
            message: bounded(&failure.message),
            place,
            position: record.position.clone(),
            attempts,
            first_failure_ms,
            last_failure_ms: now,
        }
    }

    /// Adds the reason to a record's headers, in place of an older one.
    pub fn write(&self, headers: &mut Headers) {
        headers.remove_prefix(ERROR_PREFIX);
        let entries = [
            (EXCEPTION, self.exception.clone()),
            (MESSAGE, self.message.clone()),
            (STACKTRACE, self.place.clone()),
            (TOPIC, self.position.topic.to_string()),
            (PARTITION, self.position.partition.to_string()),
            (OFFSET, self.position.offset.to_string()),
            (ATTEMPTS, self.attempts.to_string()),
            (FIRST_FAILURE, self.first_failure_ms.to_string()),
            (LAST_FAILURE, self.last_failure_ms.to_string()),
        ];
        for (name, value) in entries {
            headers.push(name, value);
        }
    }

    /// Reads what [`Reason::write`] wrote; `None` when a header is missing or damaged.
    pub fn read(headers: &Headers) -> Option<Self> {
        Some(Self {
            exception: headers.text(EXCEPTION)?.to_owned(),
            message: headers.text(MESSAGE)?.to_owned(),
            place: headers.text(STACKTRACE)?.to_owned(),
            position: Position {
                topic: Arc::from(headers.text(TOPIC)?),
                partition: headers.text(PARTITION)?.parse().ok()?,
                offset: headers.text(OFFSET)?.parse().ok()?,
            },
            attempts: headers.text(ATTEMPTS)?.parse().ok()?,
            first_failure_ms: headers.text(FIRST_FAILURE)?.parse().ok()?,
            last_failure_ms: headers.text(LAST_FAILURE)?.parse().ok()?,
        })
    }
}

/// The dead letter of a record: its bytes and headers as they came, and the reason.
pub(crate) fn letter(topic: &Arc<str>, record: &RawRecord, reason: &Reason) -> Outgoing {
    let mut headers = record.headers.clone();
    reason.write(&mut headers);
    Outgoing {
        topic: Arc::clone(topic),
        partition: None,
        key: record.key.clone(),
        value: record.value.clone(),
        timestamp: Some(record.timestamp),
        headers,
    }
}

/// The text, cut at a character when it is too long.
fn bounded(text: &str) -> String {
    let mut end = text.len().min(MESSAGE_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    text.get(..end).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn reason_survives_its_headers_for_any_reason(
            exception in ".*", message in ".*", place in ".*", topic in "[a-z.]+",
            partition in any::<i32>(), offset in any::<i64>(), attempts in any::<u32>(),
            first in any::<i64>(), last in any::<i64>(),
        ) {
            let reason = Reason {
                exception, message, place,
                position: Position { topic: topic.as_str().into(), partition, offset },
                attempts, first_failure_ms: first, last_failure_ms: last,
            };
            let mut headers = Headers::new();
            headers.push("kept", "1");
            reason.write(&mut headers);
            reason.write(&mut headers);
            prop_assert_eq!(Reason::read(&headers), Some(reason));
            prop_assert_eq!(headers.text("kept"), Some("1"));
            prop_assert_eq!(headers.len(), 10, "written once");
        }
    }

    #[test]
    fn long_text_is_cut_at_a_character() {
        let text = "ä".repeat(MESSAGE_BYTES_MAX);
        assert_eq!(bounded(&text).len(), MESSAGE_BYTES_MAX);
        assert_eq!(bounded(&format!("a{text}")).len(), MESSAGE_BYTES_MAX - 1);
    }
}
