//! The events the example programs read and write.
//!
//! A serde struct, the text of its Avro schema, and an [`AvroSchema`] that ties the two: that is all
//! a value needs. Times are milliseconds since the Unix epoch, money is base units (cents).

use apache_avro::{AvroSchema, Schema};
use serde::{Deserialize, Serialize};

/// Schema id of [`BankTransaction`] on the topics of the examples.
pub(crate) const TRANSACTION_SCHEMA_ID: u32 = 1;

/// A transaction of an account, as the bank tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BankTransaction {
    pub(crate) transaction_id: String,
    pub(crate) account_id: String,
    pub(crate) status: TransactionStatus,
    pub(crate) amount_base_units: i64,
    pub(crate) currency: String,
    pub(crate) description: String,
    pub(crate) raw_text: Option<String>,
    pub(crate) created_at: i64,
    pub(crate) settled_at: Option<i64>,
    pub(crate) category: Option<String>,
    pub(crate) foreign_amount: Option<ForeignAmount>,
    pub(crate) round_up_base_units: Option<i64>,
    pub(crate) card_method: Option<String>,
}

/// What a transaction does to its account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum TransactionStatus {
    /// The money is reserved.
    Held,
    /// The money has moved.
    Settled,
    /// It never happened.
    Deleted,
}

/// The amount in the currency of the place it was spent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ForeignAmount {
    pub(crate) currency: String,
    pub(crate) base_units: i64,
}

impl AvroSchema for BankTransaction {
    fn get_schema() -> Schema {
        parse(
            r#"{"type": "record", "name": "BankTransaction", "namespace": "bankstream.v1", "fields": [
            {"name": "transactionId", "type": "string"},
            {"name": "accountId", "type": "string"},
            {"name": "status", "type": {"type": "enum", "name": "TransactionStatus",
                "symbols": ["HELD", "SETTLED", "DELETED"]}},
            {"name": "amountBaseUnits", "type": "long"},
            {"name": "currency", "type": "string"},
            {"name": "description", "type": "string"},
            {"name": "rawText", "type": ["null", "string"], "default": null},
            {"name": "createdAt", "type": {"type": "long", "logicalType": "timestamp-millis"}},
            {"name": "settledAt", "default": null,
                "type": ["null", {"type": "long", "logicalType": "timestamp-millis"}]},
            {"name": "category", "type": ["null", "string"], "default": null},
            {"name": "foreignAmount", "default": null, "type": ["null", {"type": "record",
                "name": "ForeignAmount", "fields": [
                    {"name": "currency", "type": "string"}, {"name": "baseUnits", "type": "long"}]}]},
            {"name": "roundUpBaseUnits", "type": ["null", "long"], "default": null},
            {"name": "cardMethod", "type": ["null", "string"], "default": null}]}"#,
        )
    }
}

#[expect(clippy::expect_used, reason = "a constant of the program")]
pub(crate) fn parse(schema: &str) -> Schema {
    Schema::parse_str(schema).expect("schema of the examples parses")
}
