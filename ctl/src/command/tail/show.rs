//! A record in words.
use serde::Serialize;
use serde_json::{Map, Value, json};
use streams::registry::{Registry, readable};

use super::reader::Record;

/// Headers of dead letters begin so; they are shown always.
const ERROR_PREFIX: &str = "__streams.errors.";

/// A record with everything decoded that can be.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    partition: i32,
    offset: i64,
    /// Milliseconds since the epoch.
    timestamp: Option<i64>,
    key: Value,
    value: Value,
    /// Why the value is shown as bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    undecoded: Option<String>,
    headers: Map<String, Value>,
}

impl Shown {
    pub(super) async fn of(record: Record, registry: &Registry) -> Self {
        let (value, undecoded) = match record.value {
            None => (Value::Null, None),
            Some(bytes) => decode(bytes, registry).await,
        };
        Self {
            partition: record.partition,
            offset: record.offset,
            timestamp: record.timestamp,
            key: record.key.map_or(Value::Null, readable),
            value,
            undecoded,
            headers: headers(record.headers),
        }
    }

    /// One line, and one more for each header that is to be seen.
    pub(super) fn line(&self, all_headers: bool) -> String {
        let time = self
            .timestamp
            .and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok())
            .map_or("no time".to_owned(), |time| format!("{time:.3}"));
        let key = match &self.key {
            Value::String(key) => key.clone(),
            other => other.to_string(),
        };
        let record = format!("{time} {}/{} {key} {}", self.partition, self.offset, self.value);
        let undecoded = self.undecoded.iter().map(|reason| format!("    not decoded: {reason}"));
        let headers = self
            .headers
            .iter()
            .filter(|(name, _)| all_headers || name.starts_with(ERROR_PREFIX))
            .map(|(name, value)| format!("    {name}: {value}"));
        std::iter::once(record).chain(undecoded).chain(headers).collect::<Vec<_>>().join("\n")
    }
}

/// The value as JSON: by its schema, as the JSON it is, else as text.
async fn decode(bytes: Vec<u8>, registry: &Registry) -> (Value, Option<String>) {
    match registry.to_json(&bytes).await {
        Ok(Some(value)) => (value, None),
        Ok(None) => match serde_json::from_slice(&bytes) {
            Ok(value) => (value, None),
            Err(_) => (readable(bytes), None),
        },
        Err(error) => (readable(bytes), Some(error.to_string())),
    }
}

/// By name; a name that occurs more than once has a list.
pub(in crate::command) fn headers(pairs: Vec<(String, Vec<u8>)>) -> Map<String, Value> {
    let mut headers = Map::new();
    for (name, value) in pairs {
        let value = readable(value);
        match headers.get_mut(&name) {
            None => {
                headers.insert(name, value);
            }
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = json!([first.clone(), value]),
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Record, Shown, headers};
    use streams::registry::Registry;

    #[test]
    fn a_header_that_occurs_twice_is_a_list() {
        let pair = |name: &str, value: &[u8]| (name.to_owned(), value.to_vec());
        let shown =
            headers(vec![pair("a", b"1"), pair("b", b"2"), pair("a", b"3"), pair("a", b"4")]);
        assert_eq!(Value::Object(shown), json!({ "a": ["1", "3", "4"], "b": "2" }));
    }

    #[tokio::test]
    async fn json_text_bytes_and_tombstones_are_told_apart() {
        async fn check(value: Option<&[u8]>, expect: Value) {
            let registry = Registry::new("http://127.0.0.1:1").unwrap();
            let record = Record {
                partition: 0,
                offset: 1,
                timestamp: None,
                key: Some(b"k".to_vec()),
                value: value.map(<[u8]>::to_vec),
                headers: Vec::new(),
            };
            assert_eq!(Shown::of(record, &registry).await.value, expect);
        }
        check(None, Value::Null).await;
        check(Some(b"{\"a\":1}"), json!({ "a": 1 })).await;
        check(Some(b"plain"), json!("plain")).await;
        check(Some(&[0xff, 0xfe]), json!({ "hex": "fffe" })).await;
    }

    #[tokio::test]
    async fn a_dead_letter_says_why_it_is_one() {
        let registry = Registry::new("http://127.0.0.1:1").unwrap();
        let record = Record {
            partition: 2,
            offset: 9,
            timestamp: Some(0),
            key: None,
            value: Some(b"poison".to_vec()),
            headers: vec![
                ("__streams.errors.message".to_owned(), b"no such account".to_vec()),
                ("traceparent".to_owned(), b"00-1".to_vec()),
            ],
        };
        let shown = Shown::of(record, &registry).await;
        insta::assert_snapshot!(shown.line(false), @r#"
        1970-01-01T00:00:00.000Z 2/9 null "poison"
            __streams.errors.message: "no such account"
        "#);
    }
}
