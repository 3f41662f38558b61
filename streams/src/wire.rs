//! Confluent's wire format: `0`, the schema id as 32 bits big endian, the Avro datum.
//!
//! Values are written and read straight from and to structs. Direct reading does not resolve
//! schemas, so each writer id is judged once: equal to ours, read directly; readable by Avro's
//! rules, read by resolution; neither, refused.

mod decoder;
mod encoder;
mod schemas;

pub use decoder::{DecodeError, Decoder};
pub use encoder::{EncodeError, Encoder};
pub use schemas::{FixedSchemas, LocalSchemas, SchemaError, Schemas, keep};

/// First byte of every framed value.
const MAGIC: u8 = 0;

/// Bytes before the datum.
const HEADER_BYTES: usize = 5;

/// Takes a framed value apart: the writer's schema id and the datum.
pub fn unframe(bytes: &[u8]) -> Result<(u32, &[u8]), DecodeError> {
    let Some((header, datum)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return Err(DecodeError::TooShort { length: bytes.len() });
    };
    let [magic, id @ ..] = *header;
    if magic != MAGIC {
        return Err(DecodeError::Magic { byte: magic });
    }
    Ok((u32::from_be_bytes(id), datum))
}

#[cfg(test)]
mod tests;
