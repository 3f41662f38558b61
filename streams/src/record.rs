//! Records, their headers and where they stand.

use std::{fmt, sync::Arc};

use bytes::Bytes;

/// Milliseconds since the Unix epoch, UTC.
pub type Timestamp = i64;

/// A record of a Kafka topic: topic, partition, offset.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// Topic name.
    pub topic: Arc<str>,
    /// Partition.
    pub partition: i32,
    /// Offset in the partition.
    pub offset: i64,
}

impl fmt::Display for Position {
    /// `topic/partition/offset`, the form of [`Position::parse`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.topic, self.partition, self.offset)
    }
}

impl Position {
    /// Reads what [`fmt::Display`] wrote; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (rest, offset) = text.rsplit_once('/')?;
        let (topic, partition) = rest.rsplit_once('/')?;
        if topic.is_empty() {
            return None;
        }
        Some(Self {
            topic: Arc::from(topic),
            partition: partition.parse().ok()?,
            offset: offset.parse().ok()?,
        })
    }
}

/// Headers of a record, in order; a name may appear more than once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<(Arc<str>, Bytes)>);

impl Headers {
    /// No headers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a header behind the others.
    pub fn push(&mut self, name: impl Into<Arc<str>>, value: impl Into<Bytes>) {
        self.0.push((name.into(), value.into()));
    }

    /// Removes every header whose name starts with `prefix`.
    pub fn remove_prefix(&mut self, prefix: &str) {
        self.0.retain(|(name, _)| !name.starts_with(prefix));
    }

    /// The last header of that name, as Kafka's clients read them.
    pub fn last(&self, name: &str) -> Option<&Bytes> {
        self.0.iter().rev().find(|(known, _)| &**known == name).map(|(_, value)| value)
    }

    /// The last header of that name, when it is UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.last(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Bytes)> {
        self.0.iter().map(|(name, value)| (&**name, value))
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A record as it came from Kafka: bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawRecord {
    /// Where it stands.
    pub position: Position,
    /// The producer's (or broker's) time.
    pub timestamp: Timestamp,
    /// Key; `None` for a record without one.
    pub key: Option<Bytes>,
    /// Value; `None` for a tombstone.
    pub value: Option<Bytes>,
    /// Headers.
    pub headers: Headers,
}

/// A record with its key and value decoded.
#[derive(Clone, Debug)]
pub struct Record<K, V> {
    /// Key.
    pub key: K,
    /// Value.
    pub value: V,
    /// The producer's (or broker's) time.
    pub timestamp: Timestamp,
    /// Where it stands.
    pub position: Position,
    /// Headers.
    pub headers: Headers,
}

impl<K, V> Record<K, V> {
    /// The record everything began with: this one, or the one its headers name.
    pub fn origin(&self) -> Position {
        self.headers
            .text(crate::context::ORIGIN_HEADER)
            .and_then(Position::parse)
            .unwrap_or_else(|| self.position.clone())
    }
}

/// A record on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Topic, run suffix included.
    pub topic: Arc<str>,
    /// Partition; `None` leaves it to the partitioner (murmur2 of the key).
    pub partition: Option<i32>,
    /// Key.
    pub key: Option<Bytes>,
    /// Value; `None` writes a tombstone.
    pub value: Option<Bytes>,
    /// Time; `None` leaves it to the client.
    pub timestamp: Option<Timestamp>,
    /// Headers.
    pub headers: Headers,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn position_survives_its_text() {
        let position = Position { topic: "a.b/c".into(), partition: 3, offset: 42 };
        assert_eq!(Position::parse(&position.to_string()), Some(position));
    }

    #[test]
    fn text_that_is_no_position_is_refused() {
        for text in ["", "a", "a/1", "/1/2", "a/x/2", "a/1/y"] {
            assert_eq!(Position::parse(text), None, "{text}");
        }
    }

    #[test]
    fn last_header_of_a_name_wins() {
        let mut headers = Headers::new();
        headers.push("a", "1");
        headers.push("b", "2");
        headers.push("a", "3");
        assert_eq!(headers.text("a"), Some("3"));
        headers.remove_prefix("a");
        assert_eq!(headers.len(), 1);
    }
}
