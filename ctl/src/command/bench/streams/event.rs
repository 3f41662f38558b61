//! The two events on the wire: Confluent's frame with fixed ids around Avro.

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::writer::datum::GenericDatumWriter;
use serde::{Deserialize, Serialize};

use anyhow::{Context as _, ensure};

const TRANSACTION_ID: u32 = 1;
const BALANCE_ID: u32 = 2;

const TRANSACTION: &str = r#"{"type": "record", "name": "BankTransaction", "fields": [
    {"name": "transactionId", "type": "string"}, {"name": "accountId", "type": "string"},
    {"name": "status", "type": {"type": "enum", "name": "TransactionStatus",
        "symbols": ["HELD", "SETTLED", "DELETED"]}},
    {"name": "amountBaseUnits", "type": "long"}, {"name": "currency", "type": "string"},
    {"name": "description", "type": "string"}, {"name": "rawText", "type": ["null", "string"]},
    {"name": "createdAt", "type": "long"}, {"name": "settledAt", "type": ["null", "long"]},
    {"name": "category", "type": ["null", "string"]},
    {"name": "foreignAmount", "type": ["null", {"type": "record", "name": "ForeignAmount",
        "fields": [{"name": "currency", "type": "string"}, {"name": "baseUnits", "type": "long"}]}]},
    {"name": "roundUpBaseUnits", "type": ["null", "long"]},
    {"name": "cardMethod", "type": ["null", "string"]}]}"#;

const BALANCE: &str = r#"{"type": "record", "name": "BalanceUpdated", "fields": [
    {"name": "accountId", "type": "string"}, {"name": "balanceBaseUnits", "type": "long"},
    {"name": "heldBaseUnits", "type": "long"}, {"name": "transactionCount", "type": "long"},
    {"name": "lastTransactionId", "type": "string"}, {"name": "sequence", "type": "long"}]}"#;

/// A transaction of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BankTransaction {
    pub(super) transaction_id: String,
    pub(super) account_id: String,
    pub(super) status: TransactionStatus,
    pub(super) amount_base_units: i64,
    pub(super) currency: String,
    pub(super) description: String,
    pub(super) raw_text: Option<String>,
    pub(super) created_at: i64,
    pub(super) settled_at: Option<i64>,
    pub(super) category: Option<String>,
    pub(super) foreign_amount: Option<ForeignAmount>,
    pub(super) round_up_base_units: Option<i64>,
    pub(super) card_method: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum TransactionStatus {
    Held,
    Settled,
    Deleted,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ForeignAmount {
    pub(super) currency: String,
    pub(super) base_units: i64,
}

/// What a ledger says of an account after a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BalanceUpdated {
    pub(super) account_id: String,
    pub(super) balance_base_units: i64,
    pub(super) held_base_units: i64,
    pub(super) transaction_count: i64,
    pub(super) last_transaction_id: String,
    pub(super) sequence: i64,
}

/// Writes transactions, reads both events.
pub(super) struct Codec {
    writer: GenericDatumWriter<'static>,
    transactions: GenericDatumReader<'static>,
    balances: GenericDatumReader<'static>,
}

impl Codec {
    pub(super) fn new() -> anyhow::Result<Self> {
        // Readers and writers borrow their schema; there are two in a process.
        let keep = |text: &str| -> anyhow::Result<&'static Schema> {
            Ok(Box::leak(Box::new(Schema::parse_str(text).context("parsing a schema")?)))
        };
        let (transaction, balance) = (keep(TRANSACTION)?, keep(BALANCE)?);
        Ok(Self {
            writer: GenericDatumWriter::builder(transaction).build()?,
            transactions: GenericDatumReader::builder(transaction).build()?,
            balances: GenericDatumReader::builder(balance).build()?,
        })
    }

    pub(super) fn encode(&self, value: &BankTransaction) -> anyhow::Result<Vec<u8>> {
        let mut bytes = vec![0];
        bytes.extend_from_slice(&TRANSACTION_ID.to_be_bytes());
        self.writer.write_ser(&mut bytes, value).context("encoding a transaction")?;
        Ok(bytes)
    }

    pub(super) fn transaction(&self, bytes: &[u8]) -> anyhow::Result<BankTransaction> {
        let mut datum = unframe(bytes, TRANSACTION_ID)?;
        self.transactions.read_deser(&mut datum).context("decoding a transaction")
    }

    pub(super) fn balance(&self, bytes: &[u8]) -> anyhow::Result<BalanceUpdated> {
        let mut datum = unframe(bytes, BALANCE_ID)?;
        self.balances.read_deser(&mut datum).context("decoding a balance")
    }
}

fn unframe(bytes: &[u8], expect: u32) -> anyhow::Result<&[u8]> {
    let (id, datum) = streams::wire::unframe(bytes)?;
    ensure!(id == expect, "an output has schema id {id}; expected {expect}");
    Ok(datum)
}
