//! What a bank tells, in words that fit every bank.

/// An amount of money.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Money {
    /// Whole base units (cents); the sign is the direction as the account sees it.
    pub amount: i64,
    /// ISO 4217 code.
    pub currency: String,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The bank's id.
    pub id: String,
    /// Name the holder gave it.
    pub display_name: String,
    /// The bank's name of the type, as sent.
    pub account_type: String,
    /// Available balance: amounts on hold are already taken off.
    pub balance: Money,
    /// When it was opened, milliseconds since the epoch.
    pub created_at: i64,
}

/// A transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// The bank's id.
    pub id: String,
    /// The account it belongs to.
    pub account_id: String,
    /// The bank's name of the status, as sent (Up: HELD, SETTLED).
    pub status: String,
    /// What it moves.
    pub amount: Money,
    /// What it moved while it was held, where the bank tells.
    pub held_amount: Option<Money>,
    /// The amount in the currency of the purchase.
    pub foreign_amount: Option<Money>,
    /// Round-up taken with this purchase, boost included.
    pub round_up: Option<Money>,
    /// Short description, usually the merchant.
    pub description: String,
    /// Unprocessed text of the payment.
    pub raw_text: Option<String>,
    /// Message the payer attached.
    pub message: Option<String>,
    /// The bank's category id.
    pub category: Option<String>,
    /// Counter-account of a transfer between the holder's own accounts.
    pub transfer_account_id: Option<String>,
    /// When the bank first saw it, milliseconds since the epoch.
    pub created_at: i64,
    /// When it settled; none while held.
    pub settled_at: Option<i64>,
}
