//! What an event of the bank says, read from the signed bytes.

use serde::Deserialize;

/// Longest id taken. They become parts of keys and of a request's path.
const ID_BYTES_MAX: usize = 64;

/// An event about a transaction, or none of our business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A transaction changed.
    Transaction {
        /// What is said to have happened.
        announced: Announced,
        /// The bank's id of the transaction.
        transaction_id: String,
    },
    /// A test of the connection.
    Ping,
    /// A kind of event that came later than this program.
    Unknown,
}

/// What an event says about a transaction. What is true is asked of the bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Announced {
    Created,
    Settled,
    Deleted,
}

/// Why a body is not an event of the bank. The ingress verified it, so this is news about the bank,
/// or somebody else writes to the topic.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// Not the bank's shape.
    #[error(
        "the body is not an event: expected `data` with `id`, `attributes.eventType` and `relationships`"
    )]
    Shape(#[source] serde_json::Error),
    /// A transaction event without a transaction.
    #[error("a `{event_type}` event names no transaction")]
    NoTransaction {
        /// The event's type.
        event_type: &'static str,
    },
    /// An id that cannot be one.
    #[error(
        "the {what} id is not usable: expected 1 to {ID_BYTES_MAX} letters, digits and hyphens"
    )]
    Id {
        /// event or transaction.
        what: &'static str,
    },
    /// The record was filed under another id than the one that was signed.
    #[error("the record says event `{recorded}`, its signed body says another")]
    OtherEvent {
        /// The record's event id.
        recorded: String,
    },
}

#[derive(Deserialize)]
struct Document {
    data: Resource,
}

#[derive(Deserialize)]
struct Resource {
    id: String,
    attributes: Attributes,
    relationships: Relationships,
}

#[derive(Deserialize)]
struct Attributes {
    #[serde(rename = "eventType")]
    event_type: String,
}

#[derive(Deserialize)]
struct Relationships {
    transaction: Option<Related>,
}

#[derive(Deserialize)]
struct Related {
    data: Identifier,
}

#[derive(Deserialize)]
struct Identifier {
    id: String,
}

/// Reads the body of event `event_id`. Links in it are not looked at: whoever may write the topic
/// must not decide where the bank's token travels.
pub(crate) fn read(event_id: &str, body: &[u8]) -> Result<Event, EventError> {
    let Document { data } = serde_json::from_slice(body).map_err(EventError::Shape)?;
    check_id("event", &data.id)?;
    if data.id != event_id {
        return Err(EventError::OtherEvent {
            recorded: event_id.escape_debug().take(64).collect(),
        });
    }
    let (announced, event_type) = match data.attributes.event_type.as_str() {
        "TRANSACTION_CREATED" => (Announced::Created, "TRANSACTION_CREATED"),
        "TRANSACTION_SETTLED" => (Announced::Settled, "TRANSACTION_SETTLED"),
        "TRANSACTION_DELETED" => (Announced::Deleted, "TRANSACTION_DELETED"),
        "PING" => return Ok(Event::Ping),
        _ => return Ok(Event::Unknown),
    };
    let transaction = data.relationships.transaction;
    let transaction_id = transaction.ok_or(EventError::NoTransaction { event_type })?.data.id;
    check_id("transaction", &transaction_id)?;
    Ok(Event::Transaction { announced, transaction_id })
}

fn check_id(what: &'static str, id: &str) -> Result<(), EventError> {
    let fits = (1..=ID_BYTES_MAX).contains(&id.len());
    if fits && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        Ok(())
    } else {
        Err(EventError::Id { what })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Announced, Event, EventError, read};

    fn body(event_type: &str, transaction: &Value) -> Value {
        json!({ "data": {
            "type": "webhook-events",
            "id": "event-1",
            "attributes": { "eventType": event_type, "createdAt": "2026-01-01T00:00:00+11:00" },
            "relationships": { "transaction": transaction }
        }})
    }

    fn named(id: &str) -> Value {
        json!({ "data": { "type": "transactions", "id": id },
                "links": { "related": "https://evil.example/steal" } })
    }

    #[track_caller]
    fn check(body: &Value, expect: &Event) {
        assert_eq!(read("event-1", body.to_string().as_bytes()).unwrap(), *expect);
    }

    #[test]
    fn an_event_names_a_transaction_and_what_happened_to_it() {
        let about = |announced| Event::Transaction { announced, transaction_id: "tx-1".to_owned() };
        check(&body("TRANSACTION_CREATED", &named("tx-1")), &about(Announced::Created));
        check(&body("TRANSACTION_SETTLED", &named("tx-1")), &about(Announced::Settled));
        check(&body("TRANSACTION_DELETED", &named("tx-1")), &about(Announced::Deleted));
        check(&body("PING", &Value::Null), &Event::Ping);
        check(&body("ACCOUNT_PAINTED", &Value::Null), &Event::Unknown);
    }

    #[track_caller]
    fn check_refused(body: &Value, expect: fn(&EventError) -> bool) {
        let refused = read("event-1", body.to_string().as_bytes()).unwrap_err();
        assert!(expect(&refused), "{refused}");
    }

    #[test]
    fn a_body_that_is_no_event_is_refused() {
        let created = |transaction: &Value| body("TRANSACTION_CREATED", transaction);
        check_refused(&created(&Value::Null), |e| matches!(e, EventError::NoTransaction { .. }));
        for id in ["", "../accounts", "a b", "a\nb", "https://evil.example", &"a".repeat(65)] {
            check_refused(&created(&named(id)), |e| {
                matches!(e, EventError::Id { what: "transaction" })
            });
        }
        check_refused(&json!({}), |e| matches!(e, EventError::Shape(_)));
        check_refused(&json!([1]), |e| matches!(e, EventError::Shape(_)));
        let mut other = created(&named("tx-1"));
        other["data"]["id"] = json!("event-2");
        check_refused(&other, |e| matches!(e, EventError::OtherEvent { .. }));
        other["data"]["id"] = json!("event/2");
        check_refused(&other, |e| matches!(e, EventError::Id { what: "event" }));
    }
}
