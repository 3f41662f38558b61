//! Both ways of reading a datum: straight into the struct, and by a value that is resolved.

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::writer::datum::GenericDatumWriter;
use apache_avro::{AvroSchema, Schema, from_value};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Straight from the struct to bytes, as producers do it.
pub(crate) fn encode<T: AvroSchema + Serialize>(record: &T) -> Vec<u8> {
    let schema = T::get_schema();
    let writer = GenericDatumWriter::builder(&schema).build().expect("schema is complete");
    let mut datum = Vec::new();
    writer.write_ser(&mut datum, record).expect("record fits its schema");
    datum
}

/// Straight from bytes to the struct: the fast path of consumers. All of the bytes must be used.
pub(crate) fn decode<T: AvroSchema + DeserializeOwned>(datum: &[u8]) -> Result<T, String> {
    let schema = T::get_schema();
    let reader = GenericDatumReader::builder(&schema).build().expect("schema is complete");
    let mut rest = datum;
    let record = reader.read_deser(&mut rest).map_err(|error| error.to_string())?;
    if rest.is_empty() { Ok(record) } else { Err(format!("{} bytes are left", rest.len())) }
}

/// The slow path for a writer whose schema differs: resolved against ours, then into the struct.
pub(crate) fn decode_resolving<T: AvroSchema + DeserializeOwned>(
    writer_schema: &Schema,
    datum: &[u8],
) -> Result<T, String> {
    let schema = T::get_schema();
    let reader = GenericDatumReader::builder(writer_schema)
        .reader_schema(&schema)
        .build()
        .expect("schemas are complete");
    let value = reader.read_value(&mut &*datum).map_err(|error| error.to_string())?;
    from_value(&value).map_err(|error| error.to_string())
}
