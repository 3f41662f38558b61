use std::sync::Arc;

use apache_avro::Schema;
use serde::{Deserialize, Serialize};

use super::{DecodeError, Decoder, Encoder, LocalSchemas, Schemas, keep, unframe};

const V1: &str = r#"{"type":"record","name":"Payment","fields":[{"name":"id","type":"string"}]}"#;
const V2: &str = r#"{"type":"record","name":"Payment","fields":[{"name":"id","type":"string"},
    {"name":"amount","type":"long","default":7}]}"#;
const OTHER: &str = r#"{"type":"record","name":"Payment","fields":[{"name":"id","type":"long"}]}"#;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename = "Payment")]
struct PaymentV1 {
    id: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename = "Payment")]
struct PaymentV2 {
    id: String,
    amount: i64,
}

fn schema(text: &str) -> Schema {
    Schema::parse_str(text).unwrap()
}

fn encoded_by_v1(schemas: &LocalSchemas) -> Vec<u8> {
    let id = schemas.pin("t", &schema(V1)).unwrap();
    let mut encoder = Encoder::new(id, keep(schema(V1))).unwrap();
    encoder.encode(&PaymentV1 { id: "p".to_owned() }).unwrap().to_vec()
}

#[test]
fn value_of_the_same_schema_is_read_directly() {
    let schemas = LocalSchemas::default();
    let bytes = encoded_by_v1(&schemas);
    let mut decoder = Decoder::new(Arc::new(schemas), keep(schema(V1)));
    assert_eq!(decoder.decode::<PaymentV1>(&bytes).unwrap().id, "p");
}

#[test]
fn value_of_an_older_schema_takes_the_readers_default() {
    let schemas = LocalSchemas::default();
    let bytes = encoded_by_v1(&schemas);
    let mut decoder = Decoder::new(Arc::new(schemas), keep(schema(V2)));
    let read = decoder.decode::<PaymentV2>(&bytes).unwrap();
    assert_eq!(read, PaymentV2 { id: "p".to_owned(), amount: 7 });
}

#[test]
fn value_of_a_foreign_schema_is_refused() {
    let schemas = LocalSchemas::default();
    let bytes = encoded_by_v1(&schemas);
    let mut decoder = Decoder::new(Arc::new(schemas), keep(schema(OTHER)));
    let error = decoder.decode::<PaymentV1>(&bytes).unwrap_err();
    assert!(matches!(error, DecodeError::Incompatible { .. }), "{error}");
}

#[test]
fn damaged_values_are_refused_with_their_reason() {
    let schemas = LocalSchemas::default();
    let good = encoded_by_v1(&schemas);
    let mut decoder = Decoder::new(Arc::new(schemas), keep(schema(V1)));
    let mut trailing = good.clone();
    trailing.push(0);
    let cases: [(&[u8], &str); 5] = [
        (&[0, 0], "fewer than the 5"),
        (&[1, 0, 0, 0, 1, 2, b'p'], "0x01"),
        (&[0, 0, 0, 0, 99, 2, b'p'], "schema id 99"),
        (&good[..good.len() - 1], "do not fit"),
        (&trailing, "1 bytes are left"),
    ];
    for (bytes, expect) in cases {
        let error = decoder.decode::<PaymentV1>(bytes).unwrap_err();
        assert!(error.to_string().contains(expect), "{error} should contain {expect}");
    }
}

#[test]
fn frame_is_taken_apart() {
    assert_eq!(unframe(&[0, 0, 0, 1, 2, 9]).unwrap(), (258, &[9_u8][..]));
}
