//! The time of an event.

/// Milliseconds since the Unix epoch, UTC (Avro `timestamp-millis`).
pub type Timestamp = i64;
