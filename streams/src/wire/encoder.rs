//! Writes values.

use std::fmt;

use apache_avro::{Schema, writer::datum::GenericDatumWriter};
use bytes::Bytes;
use serde::Serialize;

use super::MAGIC;

/// Writes values of one schema under one pinned id.
pub struct Encoder {
    id: u32,
    writer: GenericDatumWriter<'static>,
    buffer: Vec<u8>,
}

/// Why a value cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The schema cannot be used for writing.
    #[error("the schema cannot be used for writing: {0}")]
    Schema(#[source] Box<apache_avro::Error>),
    /// The value does not fit the schema.
    #[error("the value does not fit its schema: {0}")]
    Value(#[source] Box<apache_avro::Error>),
}

impl Encoder {
    /// An encoder for values of `schema`, framed with `id`. The writer borrows its schema, which
    /// therefore lives as long as the process: see [`keep`](super::keep).
    pub fn new(id: u32, schema: &'static Schema) -> Result<Self, EncodeError> {
        let writer = GenericDatumWriter::builder(schema)
            .build()
            .map_err(|error| EncodeError::Schema(Box::new(error)))?;
        Ok(Self { id, writer, buffer: Vec::new() })
    }

    /// One framed value. On an error nothing of it is kept.
    pub fn encode<V: Serialize>(&mut self, value: &V) -> Result<Bytes, EncodeError> {
        self.buffer.clear();
        self.buffer.push(MAGIC);
        self.buffer.extend_from_slice(&self.id.to_be_bytes());
        self.writer
            .write_ser(&mut self.buffer, value)
            .map_err(|error| EncodeError::Value(Box::new(error)))?;
        Ok(Bytes::copy_from_slice(&self.buffer))
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder").field("id", &self.id).finish_non_exhaustive()
    }
}
