//! Values for people: any framed value as JSON, by its writer's schema.

use apache_avro::types::Value as Avro;
use serde_json::{Map, Value as Json, json};

use super::{Registry, RegistryError};
use crate::wire::unframe;

impl Registry {
    /// The value of a record as JSON, when it is a framed Avro value; none when it is not framed.
    ///
    /// Bytes that are UTF-8 become strings, others `{"hex": ...}`. For looking at records: programs
    /// decode into their types.
    pub async fn to_json(&self, payload: &[u8]) -> Result<Option<Json>, RegistryError> {
        let Ok((id, _)) = unframe(payload) else { return Ok(None) };
        self.by_id(id).await?;
        let decoded = self.by_id.decode(Some(payload)).await;
        let decoded = decoded.map_err(|error| RegistryError::Undecodable {
            id,
            reason: error.cause.unwrap_or(error.error),
        })?;
        Ok(Some(json(decoded.value)))
    }
}

fn json(value: Avro) -> Json {
    match value {
        Avro::Null => Json::Null,
        Avro::Boolean(value) => value.into(),
        Avro::Int(value) | Avro::Date(value) | Avro::TimeMillis(value) => value.into(),
        Avro::Long(value)
        | Avro::TimeMicros(value)
        | Avro::TimestampMillis(value)
        | Avro::TimestampMicros(value)
        | Avro::TimestampNanos(value)
        | Avro::LocalTimestampMillis(value)
        | Avro::LocalTimestampMicros(value)
        | Avro::LocalTimestampNanos(value) => value.into(),
        Avro::Float(value) => value.into(),
        Avro::Double(value) => value.into(),
        Avro::Bytes(bytes) | Avro::Fixed(_, bytes) => readable(bytes),
        Avro::String(text) | Avro::Enum(_, text) => text.into(),
        Avro::Union(_, value) => json(*value),
        Avro::Array(items) => items.into_iter().map(json).collect(),
        Avro::Map(entries) => {
            let sorted: std::collections::BTreeMap<_, _> = entries.into_iter().collect();
            Json::Object(sorted.into_iter().map(|(key, value)| (key, json(value))).collect())
        }
        Avro::Record(fields) => {
            let fields = fields.into_iter().map(|(name, value)| (name, json(value)));
            Json::Object(fields.collect::<Map<_, _>>())
        }
        other => format!("{other:?}").into(),
    }
}

/// Bytes as a person reads them: text when they are UTF-8, else `{"hex": ...}`.
pub fn readable(bytes: Vec<u8>) -> Json {
    match String::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(error) => {
            let bytes = error.as_bytes().iter();
            let hex = bytes.flat_map(|byte| [byte >> 4, byte & 0xf]);
            let hex: String = hex.filter_map(|digit| char::from_digit(digit.into(), 16)).collect();
            json!({ "hex": hex })
        }
    }
}

#[cfg(test)]
mod tests {
    use apache_avro::types::Value as Avro;
    use serde_json::{Value as Json, json};

    #[test]
    fn avro_becomes_the_json_a_person_expects() {
        fn check(value: Avro, expect: &Json) {
            assert_eq!(super::json(value), *expect);
        }
        check(Avro::Bytes(b"{\"a\":1}".to_vec()), &json!("{\"a\":1}"));
        check(Avro::Bytes(vec![0xff, 0x01]), &json!({ "hex": "ff01" }));
        check(Avro::TimestampMillis(7), &json!(7));
        check(Avro::Union(1, Box::new(Avro::String("x".to_owned()))), &json!("x"));
        check(Avro::Union(0, Box::new(Avro::Null)), &Json::Null);
        let fields = vec![
            ("b".to_owned(), Avro::Long(2)),
            ("a".to_owned(), Avro::Array(vec![Avro::Boolean(true)])),
        ];
        check(Avro::Record(fields), &json!({ "b": 2, "a": [true] }));
    }
}
