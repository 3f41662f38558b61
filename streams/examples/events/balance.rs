//! What a ledger tells after each transaction.

use apache_avro::{AvroSchema, Schema};
use serde::{Deserialize, Serialize};

/// Schema id of [`BalanceUpdated`] on the topics of the examples.
pub(crate) const BALANCE_SCHEMA_ID: u32 = 2;

/// An account after a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BalanceUpdated {
    pub(crate) account_id: String,
    pub(crate) balance_base_units: i64,
    pub(crate) held_base_units: i64,
    pub(crate) transaction_count: i64,
    pub(crate) last_transaction_id: String,
    pub(crate) sequence: i64,
}

impl AvroSchema for BalanceUpdated {
    fn get_schema() -> Schema {
        super::bank::parse(
            r#"{"type": "record", "name": "BalanceUpdated", "namespace": "bankstream.v1", "fields": [
            {"name": "accountId", "type": "string"},
            {"name": "balanceBaseUnits", "type": "long"},
            {"name": "heldBaseUnits", "type": "long"},
            {"name": "transactionCount", "type": "long"},
            {"name": "lastTransactionId", "type": "string"},
            {"name": "sequence", "type": "long"}]}"#,
        )
    }
}
