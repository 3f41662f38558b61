//! Records for the tests of this crate.

use schemas::{Timestamp, Transaction};

/// A domestic transaction in AUD.
pub(crate) fn transaction(status: &str, amount: i64, created_at: Timestamp) -> Transaction {
    Transaction {
        status: status.to_owned(),
        amount,
        currency: "AUD".to_owned(),
        held_amount: None,
        foreign_amount: None,
        foreign_currency: None,
        round_up_amount: None,
        description: "Corner shop".to_owned(),
        raw_text: None,
        message: None,
        category: None,
        transfer_account_id: None,
        created_at,
        settled_at: (status == "SETTLED").then_some(created_at),
    }
}
