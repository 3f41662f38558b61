//! Coins dropped and taken back.

use serde::{Deserialize, Serialize};

use crate::avro_schema;
use crate::time::Timestamp;

/// A rule was met by a transaction: coins were dropped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoinTriggerFired {
    /// rule:transaction id; fires once.
    pub trigger_id: String,
    /// Name of the rule.
    pub rule: String,
    /// The transaction that met it.
    pub transaction_id: String,
    /// Its account.
    pub account_id: String,
    /// Amount of the transaction in base units.
    pub amount: i64,
    /// ISO 4217 code.
    pub currency: String,
    /// Price of one coin in base units.
    pub price: i64,
    /// How many times the price was met, carry-over included.
    pub coins: i64,
    /// Carry-over before this transaction, base units.
    pub carried_in: i64,
    /// Carry-over after it, base units.
    pub carried_out: i64,
    /// Event that led to it.
    pub event_id: String,
    /// When the rule fired.
    pub fired_at: Timestamp,
}

/// A transaction that fired a rule was deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoinTriggerReversed {
    /// The trigger that is taken back.
    pub trigger_id: String,
    /// Name of the rule.
    pub rule: String,
    /// The deleted transaction.
    pub transaction_id: String,
    /// Its account.
    pub account_id: String,
    /// Coins taken back.
    pub coins: i64,
    /// Carry-over after the reversal, base units; may be negative: a debt that later coins pay first.
    pub carried_out: i64,
    /// Event that led to it.
    pub event_id: String,
    /// When it was taken back.
    pub reversed_at: Timestamp,
}

/// What happened to a rule: the records of one topic, in the order of the schema's union.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CoinTrigger {
    /// Coins were dropped.
    CoinTriggerFired(CoinTriggerFired),
    /// Coins were taken back.
    CoinTriggerReversed(CoinTriggerReversed),
}

avro_schema!(CoinTrigger, "../avro/coin.CoinTrigger.avsc");
