//! How many of everything.

use serde::Serialize;

/// Counters since the start. One event to two webhooks counts twice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Events made, whatever became of them.
    pub events: u64,
    /// Events never sent, as the faults asked.
    pub lost: u64,
    /// Events sent twice, as the faults asked.
    pub duplicated: u64,
    /// Events held back so that others overtake them.
    pub reordered: u64,
    /// Events sent late.
    pub late: u64,
    /// Events not taken because the queue was full.
    pub overflowed: u64,
    /// Requests made by the bank, forged ones not counted.
    pub attempts: u64,
    /// Deliveries answered 200; a duplicate counts again.
    pub delivered: u64,
    /// Attempts that were not answered 200.
    pub failed: u64,
    /// Deliveries given up after the last attempt.
    pub given_up: u64,
    /// Deliveries dropped because their webhook was deleted.
    pub cancelled: u64,
    /// Forged requests made.
    pub forged: u64,
    /// Forged requests answered something other than 200.
    pub forged_rejected: u64,
    /// Forged requests answered 200: the receiver was fooled.
    pub forged_accepted: u64,
    /// Forged requests nobody answered.
    pub forged_unanswered: u64,
}
