//! The raw record's value as Confluent-framed Avro, written field by field.
//!
//! The same bytes as the schema's own encoder makes of it, which a test holds; that one looks up every
//! field by its name, for every record.

use schemas::{SignatureHeader, WebhookReceived};

/// First byte of every framed value.
const MAGIC: u8 = 0;

/// Bytes beside the body and the texts: the frame, and numbers and lengths as they usually are.
const OTHER_BYTES: usize = 64;

/// The value under the schema id that it is registered with.
pub(crate) fn framed(value: &WebhookReceived, schema_id: u32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(room(value));
    bytes.push(MAGIC);
    bytes.extend_from_slice(&schema_id.to_be_bytes());
    for text in [&value.source, &value.scheme, &value.event_id, &value.event_type] {
        block(&mut bytes, text.as_bytes());
    }
    branch(&mut bytes, value.subject_id.is_some());
    if let Some(subject) = &value.subject_id {
        block(&mut bytes, subject.as_bytes());
    }
    branch(&mut bytes, value.occurred_at.is_some());
    if let Some(time) = value.occurred_at {
        long(&mut bytes, time);
    }
    long(&mut bytes, value.received_at);
    block(&mut bytes, &value.body);
    headers(&mut bytes, &value.signature_headers);
    for text in [&value.key_id, &value.body_sha256, &value.origin, &value.integrity] {
        block(&mut bytes, text.as_bytes());
    }
    bytes
}

/// What the value takes, and a little more.
fn room(value: &WebhookReceived) -> usize {
    let WebhookReceived { source, scheme, event_id, event_type, subject_id, .. } = value;
    let WebhookReceived { key_id, body_sha256, origin, integrity, body, .. } = value;
    let texts = [source, scheme, event_id, event_type, key_id, body_sha256, origin, integrity];
    let headers = value.signature_headers.iter().flat_map(|header| [&header.name, &header.value]);
    let texts = texts.into_iter().chain(subject_id).chain(headers);
    texts.map(String::len).fold(body.len().saturating_add(OTHER_BYTES), usize::saturating_add)
}

/// One block of all headers, if there are any, and the mark of the array's end.
fn headers(bytes: &mut Vec<u8>, headers: &[SignatureHeader]) {
    if !headers.is_empty() {
        length(bytes, headers.len());
        for header in headers {
            block(bytes, header.name.as_bytes());
            block(bytes, header.value.as_bytes());
        }
    }
    length(bytes, 0);
}

/// Which branch of a union of null and something follows.
fn branch(bytes: &mut Vec<u8>, is_there: bool) {
    long(bytes, i64::from(is_there));
}

fn block(bytes: &mut Vec<u8>, content: &[u8]) {
    length(bytes, content.len());
    bytes.extend_from_slice(content);
}

fn length(bytes: &mut Vec<u8>, length: usize) {
    long(bytes, i64::try_from(length).unwrap_or(i64::MAX));
}

/// A number as Avro writes it: zigzag, seven bits a byte, the lowest first.
fn long(bytes: &mut Vec<u8>, number: i64) {
    let mut rest = ((number << 1) ^ (number >> 63)).cast_unsigned();
    while rest > 0x7f {
        let [low, ..] = rest.to_le_bytes();
        bytes.push(low | 0x80);
        rest >>= 7;
    }
    let [last, ..] = rest.to_le_bytes();
    bytes.push(last);
}

#[cfg(test)]
mod tests {
    use apache_avro::AvroSchema as _;
    use proptest::prelude::*;
    use streams::wire::{Encoder, keep};

    use super::*;

    fn value() -> impl Strategy<Value = WebhookReceived> {
        let texts = prop::array::uniform8(".{0,80}");
        let header =
            (".{0,20}", ".{0,80}").prop_map(|(name, value)| SignatureHeader { name, value });
        let more = (
            prop::option::of(".{0,200}"),
            prop::option::of(any::<i64>()),
            any::<i64>(),
            prop::collection::vec(any::<u8>(), 0..300),
            prop::collection::vec(header, 0..4),
        );
        (texts, more).prop_map(|(texts, more)| {
            let [source, scheme, event_id, event_type, key_id, body_sha256, origin, integrity] =
                texts;
            let (subject_id, occurred_at, received_at, body, signature_headers) = more;
            WebhookReceived {
                source,
                scheme,
                event_id,
                event_type,
                subject_id,
                occurred_at,
                received_at,
                body,
                signature_headers,
                key_id,
                body_sha256,
                origin,
                integrity,
            }
        })
    }

    proptest! {
        #[test]
        fn the_bytes_are_those_of_the_schema_s_own_encoder_for_any_value(
            value in value(),
            id in any::<u32>(),
        ) {
            let mut encoder = Encoder::new(id, keep(WebhookReceived::get_schema())).unwrap();
            prop_assert_eq!(&framed(&value, id)[..], &encoder.encode(&value).unwrap()[..]);
        }
    }
}
