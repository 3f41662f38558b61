//! Ties a Rust type to its committed `.avsc` file.

use apache_avro::Schema;

/// Implements [`apache_avro::AvroSchema`] by the text of a committed schema file, so that the file
/// and not the Rust type is what the registry sees.
macro_rules! avro_schema {
    ($name:ident, $file:literal) => {
        impl apache_avro::AvroSchema for $name {
            fn get_schema() -> apache_avro::Schema {
                static SCHEMA: std::sync::OnceLock<apache_avro::Schema> =
                    std::sync::OnceLock::new();
                SCHEMA.get_or_init(|| $crate::avro::parse(include_str!($file))).clone()
            }
        }
    };
}
pub(crate) use avro_schema;

/// The schema that a committed file holds.
#[expect(clippy::expect_used, reason = "a constant of the build; every schema is parsed by a test")]
pub(crate) fn parse(text: &str) -> Schema {
    Schema::parse_str(text).expect("committed schema parses")
}
