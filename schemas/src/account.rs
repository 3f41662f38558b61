//! Balances: the bank's, the books', and both beside each other.

use serde::{Deserialize, Serialize};

use crate::avro_schema;
use crate::time::Timestamp;

/// An account's balance as the bank stated it at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountObserved {
    /// Name of the declared source.
    pub source: String,
    /// The bank's id of the account.
    pub account_id: String,
    /// Name the holder gave it.
    pub display_name: String,
    /// `TRANSACTIONAL`, `SAVER`, `HOME_LOAN`; an unknown type is kept as sent.
    pub account_type: String,
    /// Available balance in base units: holds are already taken off.
    pub balance: i64,
    /// ISO 4217 code.
    pub currency: String,
    /// When the bank gave its answer.
    pub observed_at: Timestamp,
    /// The bank's answer, byte for byte.
    #[serde(with = "serde_bytes")]
    pub answer: Vec<u8>,
    /// Event that led to the look; null for a scheduled one.
    #[serde(default)]
    pub cause_event_id: Option<String>,
}

/// A part of the difference with a known reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedItem {
    /// timing: inside the quiet period.
    pub kind: String,
    /// Transactions concerned, where known.
    pub transaction_ids: Vec<String>,
    /// Part of the difference.
    pub amount: i64,
}

/// The books of an account beside the balance the bank states.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalanceReconciled {
    /// The bank's id of the account.
    pub account_id: String,
    /// ISO 4217 code of every amount here.
    pub currency: String,
    /// Balance before the first transaction in the books.
    pub opening_balance: i64,
    /// Sum of settled transactions in the books.
    pub settled: i64,
    /// Sum of held transactions in the books.
    pub held: i64,
    /// opening + settled + held.
    pub ledger_balance: i64,
    /// What the bank stated.
    pub bank_balance: i64,
    /// bank balance - ledger balance.
    pub difference: i64,
    /// Parts of the difference with a known reason.
    pub explained: Vec<ExplainedItem>,
    /// difference - the sum of the explained.
    pub unexplained: i64,
    /// balanced, timing or unexplained.
    pub status: String,
    /// Number of transactions in the books.
    pub transactions: i64,
    /// When the bank stated its balance.
    pub bank_observed_at: Timestamp,
    /// When this comparison was made.
    pub reconciled_at: Timestamp,
}

avro_schema!(AccountObserved, "../avro/bank.AccountObserved.avsc");
avro_schema!(BalanceReconciled, "../avro/bank.BalanceReconciled.avsc");
