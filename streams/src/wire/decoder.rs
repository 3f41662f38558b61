//! Reads values, whatever version of the schema wrote them.

use std::{collections::HashMap, fmt, sync::Arc};

use apache_avro::{
    Schema, from_value, reader::datum::GenericDatumReader,
    schema_compatibility::SchemaCompatibility,
};
use serde::de::DeserializeOwned;

use super::{MAGIC, SchemaError, Schemas, unframe};

/// Why a value cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The record has no value.
    #[error("the record has no value; a tombstone is not expected on this topic")]
    Tombstone,
    /// Shorter than the frame.
    #[error("the value has {length} bytes, fewer than the 5 of Confluent's frame")]
    TooShort {
        /// Bytes there were.
        length: usize,
    },
    /// Not framed.
    #[error(
        "the value begins with byte {byte:#04x}, not with {MAGIC:#04x}: not Confluent-framed Avro"
    )]
    Magic {
        /// The first byte.
        byte: u8,
    },
    /// The registry does not know the writer's schema.
    #[error("schema id {id} of the value")]
    UnknownSchema {
        /// The id in the frame.
        id: u32,
        /// What the registry said.
        #[source]
        source: SchemaError,
    },
    /// The registry did not answer.
    #[error("schema id {id} of the value")]
    Unavailable {
        /// The id in the frame.
        id: u32,
        /// What happened.
        #[source]
        source: SchemaError,
    },
    /// The writer's schema cannot be read with ours.
    #[error("schema id {id} cannot be read with this program's schema: {reason}")]
    Incompatible {
        /// The id in the frame.
        id: u32,
        /// Avro's reason.
        reason: String,
    },
    /// The bytes are not what the schema says.
    #[error("the bytes do not fit schema id {id}: {source}")]
    Datum {
        /// The id in the frame.
        id: u32,
        /// Avro's reason.
        #[source]
        source: Box<apache_avro::Error>,
    },
    /// Bytes are left after the datum.
    #[error("{left} bytes are left after a whole value of schema id {id}")]
    Trailing {
        /// The id in the frame.
        id: u32,
        /// How many.
        left: usize,
    },
}

/// How values of one writer id are read.
enum Verdict {
    Direct(GenericDatumReader<'static>),
    Resolving(GenericDatumReader<'static>),
    Refused(String),
}

/// Reads values into one Rust type.
pub struct Decoder {
    schemas: Arc<dyn Schemas>,
    reader: &'static Schema,
    verdicts: HashMap<u32, Verdict>,
}

impl Decoder {
    /// A decoder into the type whose schema is `reader`; `schemas` is asked once per writer id.
    pub fn new(schemas: Arc<dyn Schemas>, reader: &'static Schema) -> Self {
        Self { schemas, reader, verdicts: HashMap::new() }
    }

    /// Reads one framed value, all of it.
    pub fn decode<V: DeserializeOwned>(&mut self, bytes: &[u8]) -> Result<V, DecodeError> {
        let (id, datum) = unframe(bytes)?;
        let verdict = match self.verdicts.entry(id) {
            std::collections::hash_map::Entry::Occupied(seen) => seen.into_mut(),
            std::collections::hash_map::Entry::Vacant(new) => {
                let writer = self.schemas.resolve(id).map_err(|source| match source {
                    SchemaError::Unknown { .. } => DecodeError::UnknownSchema { id, source },
                    SchemaError::Unavailable { .. } => DecodeError::Unavailable { id, source },
                })?;
                new.insert(judge(writer, self.reader, id)?)
            }
        };
        let mut rest = datum;
        let value = match verdict {
            Verdict::Direct(reader) => reader.read_deser(&mut rest),
            Verdict::Resolving(reader) => {
                reader.read_value(&mut rest).and_then(|value| from_value(&value))
            }
            Verdict::Refused(reason) => {
                return Err(DecodeError::Incompatible { id, reason: reason.clone() });
            }
        }
        .map_err(|source| DecodeError::Datum { id, source: Box::new(source) })?;
        if rest.is_empty() {
            Ok(value)
        } else {
            Err(DecodeError::Trailing { id, left: rest.len() })
        }
    }
}

/// Decides once how a writer's schema is read.
fn judge(
    writer: &'static Schema,
    reader: &'static Schema,
    id: u32,
) -> Result<Verdict, DecodeError> {
    let datum = |source| DecodeError::Datum { id, source: Box::new(source) };
    if writer == reader {
        let built = GenericDatumReader::builder(reader).build().map_err(datum)?;
        return Ok(Verdict::Direct(built));
    }
    match SchemaCompatibility::can_read(writer, reader) {
        Ok(_) => {
            let built =
                GenericDatumReader::builder(writer).reader_schema(reader).build().map_err(datum)?;
            Ok(Verdict::Resolving(built))
        }
        Err(error) => Ok(Verdict::Refused(error.to_string())),
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder").field("known_ids", &self.verdicts.len()).finish_non_exhaustive()
    }
}
