//! What a verified body is about: the event's id, type, subject and time.

use serde::Deserialize;
use serde_json::Value;

/// Bytes of an id or a type. Providers' ids are some 40; they become keys and labels of records.
const FIELD_BYTES_MAX: usize = 256;

/// Where a source's bodies hold what we need, as JSON pointers (RFC 6901).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventShape {
    /// The event's id, the same in every retry.
    pub id: &'static str,
    /// The event's type.
    pub kind: &'static str,
    /// Id of what the event is about; may be absent.
    pub subject: &'static str,
    /// When it happened; may be absent.
    pub time: &'static str,
    /// How that time is written.
    pub time_form: TimeForm,
}

/// How a body writes a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeForm {
    /// RFC 3339 text with an offset.
    Rfc3339,
    /// Whole seconds since the Unix epoch, a number.
    UnixSeconds,
}

/// What an event's body says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The provider's id, constant across its retries.
    pub id: String,
    /// The provider's name of the event.
    pub kind: String,
    /// Id of what it is about; `None` for a ping.
    pub subject: Option<String>,
    /// When it happened, in milliseconds; `None` when absent or not readable: a body that is
    /// genuine is not refused for its clock.
    pub occurred_at: Option<i64>,
}

/// Why a genuine body is not an event of its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPayload {
    /// Not JSON, or nested deeper than 128.
    #[error("the body is not JSON")]
    NotJson,
    /// A field that must be there is not, or is not text of 1 to 256 printable bytes.
    #[error("`{0}` is not a text of 1 to 256 printable bytes")]
    Field(&'static str),
}

impl EventShape {
    /// Reads the event in a verified body.
    pub fn read(&self, body: &[u8]) -> Result<Event, InvalidPayload> {
        let mut deserializer = serde_json::Deserializer::from_slice(body);
        let value = Value::deserialize(&mut deserializer).map_err(|_| InvalidPayload::NotJson)?;
        deserializer.end().map_err(|_| InvalidPayload::NotJson)?;
        let subject = match value.pointer(self.subject) {
            None | Some(Value::Null) => None,
            Some(_) => Some(text(&value, self.subject)?),
        };
        Ok(Event {
            id: text(&value, self.id)?,
            kind: text(&value, self.kind)?,
            subject,
            occurred_at: value.pointer(self.time).and_then(|time| self.time_form.read(time)),
        })
    }
}

fn text(value: &Value, pointer: &'static str) -> Result<String, InvalidPayload> {
    let text = value.pointer(pointer).and_then(Value::as_str);
    text.filter(|text| (1..=FIELD_BYTES_MAX).contains(&text.len()))
        .filter(|text| !text.chars().any(char::is_control))
        .map(str::to_owned)
        .ok_or(InvalidPayload::Field(pointer))
}

impl TimeForm {
    fn read(self, value: &Value) -> Option<i64> {
        match self {
            Self::Rfc3339 => {
                let time: jiff::Timestamp = value.as_str()?.parse().ok()?;
                Some(time.as_millisecond())
            }
            Self::UnixSeconds => value.as_i64()?.checked_mul(1000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Preset;

    #[test]
    fn an_up_event_is_read_from_its_places() {
        let body = br#"{"data":{"type":"webhook-events","id":"e-1","attributes":{
            "eventType":"TRANSACTION_CREATED","createdAt":"2026-01-02T14:04:05+11:00"},
            "relationships":{"transaction":{"data":{"type":"transactions","id":"t-1"}}}}}"#;
        let event = Preset::Up.event_shape().read(body).unwrap();
        assert_eq!(
            event,
            Event {
                id: "e-1".into(),
                kind: "TRANSACTION_CREATED".into(),
                subject: Some("t-1".into()),
                occurred_at: Some(1_767_323_045_000),
            }
        );
    }

    #[test]
    fn a_ping_has_no_subject() {
        let body = br#"{"data":{"id":"e-2","attributes":{"eventType":"PING"},"relationships":{}}}"#;
        let event = Preset::Up.event_shape().read(body).unwrap();
        assert_eq!((event.subject, event.occurred_at), (None, None));
    }

    #[test]
    fn a_stripe_event_is_read_from_its_places() {
        let body = br#"{"id":"evt_1","type":"charge.succeeded","created":1767323045,
            "data":{"object":{"id":"ch_1"}}}"#;
        let event = Preset::Stripe.event_shape().read(body).unwrap();
        assert_eq!(event.subject.as_deref(), Some("ch_1"));
        assert_eq!(event.occurred_at, Some(1_767_323_045_000));
    }

    #[test]
    fn a_body_without_a_usable_id_or_type_is_invalid() {
        #[track_caller]
        fn check(body: &str, expect: InvalidPayload) {
            let read = Preset::Stripe.event_shape().read(body.as_bytes());
            assert_eq!(read, Err(expect), "{body}");
        }
        check("", InvalidPayload::NotJson);
        check("{", InvalidPayload::NotJson);
        check("{} {}", InvalidPayload::NotJson);
        check(&"[".repeat(100_000), InvalidPayload::NotJson);
        check("[]", InvalidPayload::Field("/id"));
        check(r#"{"id":7,"type":"a"}"#, InvalidPayload::Field("/id"));
        check(r#"{"id":"","type":"a"}"#, InvalidPayload::Field("/id"));
        check(r#"{"id":"a\u0000b","type":"a"}"#, InvalidPayload::Field("/id"));
        check(r#"{"id":"a"}"#, InvalidPayload::Field("/type"));
        let long = format!(r#"{{"id":"{}","type":"a"}}"#, "x".repeat(257));
        check(&long, InvalidPayload::Field("/id"));
        let subject = r#"{"id":"a","type":"b","data":{"object":{"id":1}}}"#;
        check(subject, InvalidPayload::Field("/data/object/id"));
    }
}
