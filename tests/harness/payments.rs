//! Records of the two-stage application that the tests of exactly-once run (`apps/sums.rs`).

use apache_avro::{AvroSchema, Schema};
use serde::{Deserialize, Serialize};

/// Schema id of [`Payment`].
pub const PAYMENT_SCHEMA_ID: u32 = 1;
/// Schema id of [`Sum`].
pub const SUM_SCHEMA_ID: u32 = 2;

/// Money that moves; some are sent twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// Repeats carry the same one.
    pub id: String,
    /// Base units.
    pub amount: i64,
}

/// What a stage made of the payments of an account so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    /// The payment that brought it about.
    pub id: String,
    /// Base units.
    pub total: i64,
    /// 1 for the first of its account.
    pub sequence: i64,
}

impl AvroSchema for Payment {
    fn get_schema() -> Schema {
        parse(
            r#"{"type":"record","name":"Payment","fields":[{"name":"id","type":"string"},
                {"name":"amount","type":"long"}]}"#,
        )
    }
}

impl AvroSchema for Sum {
    fn get_schema() -> Schema {
        parse(
            r#"{"type":"record","name":"Sum","fields":[{"name":"id","type":"string"},
                {"name":"total","type":"long"},{"name":"sequence","type":"long"}]}"#,
        )
    }
}

fn parse(text: &str) -> Schema {
    Schema::parse_str(text).unwrap_or(Schema::Null)
}
