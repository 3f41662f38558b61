//! Transactions as the bank stated them.

use serde::{Deserialize, Serialize};

use crate::avro_schema;
use crate::position::Position;
use crate::time::Timestamp;

/// A transaction as the bank stated it. Amounts are base units (cents) of their currency; the sign is the direction as the account sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    /// HELD or SETTLED; an unknown status is kept as sent.
    pub status: String,
    /// Amount in base units.
    pub amount: i64,
    /// ISO 4217 code of the amount.
    pub currency: String,
    /// Amount while it was held, where the bank tells.
    #[serde(default)]
    pub held_amount: Option<i64>,
    /// Amount in the currency of the purchase.
    #[serde(default)]
    pub foreign_amount: Option<i64>,
    /// ISO 4217 code of the foreign amount.
    #[serde(default)]
    pub foreign_currency: Option<String>,
    /// Round-up taken with this purchase, boost included.
    #[serde(default)]
    pub round_up_amount: Option<i64>,
    /// Short description, usually the merchant.
    pub description: String,
    /// Unprocessed text of the payment.
    #[serde(default)]
    pub raw_text: Option<String>,
    /// Message the payer attached.
    #[serde(default)]
    pub message: Option<String>,
    /// The bank's category id.
    #[serde(default)]
    pub category: Option<String>,
    /// Counter-account of an internal transfer.
    #[serde(default)]
    pub transfer_account_id: Option<String>,
    /// When the transaction was first seen by the bank.
    pub created_at: Timestamp,
    /// When it settled; null while held.
    #[serde(default)]
    pub settled_at: Option<Timestamp>,
}

/// A change of a transaction, with the transaction as the bank stated it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionEnriched {
    /// Name of the declared source the event came from.
    pub source: String,
    /// Id of the event that caused this record.
    pub event_id: String,
    /// The bank's id of the transaction.
    pub transaction_id: String,
    /// The account; null only when a transaction was deleted before it was ever seen.
    #[serde(default)]
    pub account_id: Option<String>,
    /// created, settled, amended or deleted.
    pub change: String,
    /// The transaction; null when it was deleted.
    #[serde(default)]
    pub transaction: Option<Transaction>,
    /// When the bank gave its answer; orders versions of equal status.
    pub observed_at: Timestamp,
    /// The bank's answer, byte for byte; null when it was deleted.
    #[serde(default, with = "serde_bytes")]
    pub answer: Option<Vec<u8>>,
    /// The raw record this was made from.
    pub raw: Position,
}

avro_schema!(TransactionEnriched, "../avro/bank.TransactionEnriched.avsc");
