//! A transaction and its life: held, settled, gone.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::money::Money;

/// Where a live transaction stands. A deleted one is not listed at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[value(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// The money is reserved.
    Held,
    /// The money has moved.
    Settled,
}

/// The amounts while the transaction was held; they stay after settlement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hold {
    /// Base units, Australian dollars.
    pub amount: i64,
    /// The amount abroad, if it was one.
    pub foreign: Option<Money>,
}

/// How a card was used, in the bank's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CardMethod {
    /// Details kept by the merchant.
    CardOnFile,
    /// Chip and PIN.
    CardPin,
    /// Tapped.
    Contactless,
    /// Online.
    Ecommerce,
}

/// A live or deleted transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Transaction {
    /// UUID.
    pub id: String,
    /// The account it belongs to.
    pub account: String,
    /// Held or settled.
    pub status: Status,
    /// As the merchant's terminal wrote it.
    pub raw_text: Option<String>,
    /// Usually the merchant.
    pub description: String,
    /// What the sender wrote.
    pub message: Option<String>,
    /// What the customer noted.
    pub note: Option<String>,
    /// Base units, Australian dollars; negative when money leaves the account.
    pub amount: i64,
    /// The amount abroad, if it was one.
    pub foreign: Option<Money>,
    /// Set once it was held.
    pub hold: Option<Hold>,
    /// The round-up applied, negative base units.
    pub round_up: Option<i64>,
    /// Whether settlement rounds it up into the saver.
    pub wants_round_up: bool,
    /// How the card was used, for purchases.
    pub card: Option<CardMethod>,
    /// The bank's free text for the kind of transaction.
    pub method: Option<String>,
    /// The other own account of a transfer.
    pub transfer_account: Option<String>,
    /// A child category.
    pub category: Option<String>,
    /// At most [`super::TAGS_MAX`], sorted.
    pub tags: Vec<String>,
    /// The id of its attachment.
    pub attachment: Option<String>,
    /// Milliseconds since the epoch.
    pub created_at: i64,
    /// Milliseconds since the epoch; `None` while held.
    pub settled_at: Option<i64>,
    /// Milliseconds since the epoch; set once it is deleted.
    pub deleted_at: Option<i64>,
}

impl Transaction {
    /// Transfers between own accounts have no category.
    pub fn is_categorizable(&self) -> bool {
        self.transfer_account.is_none()
    }
}

/// What it takes to record a transaction.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewTransaction {
    /// The account it belongs to.
    pub account: String,
    /// Base units, Australian dollars; negative when money leaves the account.
    pub amount: i64,
    /// Held or settled at once.
    #[serde(default = "held")]
    pub status: Status,
    /// Usually the merchant.
    #[serde(default = "unnamed")]
    pub description: String,
    /// As the merchant's terminal wrote it.
    #[serde(default)]
    pub raw_text: Option<String>,
    /// What the sender wrote.
    #[serde(default)]
    pub message: Option<String>,
    /// What the customer noted.
    #[serde(default)]
    pub note: Option<String>,
    /// The amount abroad.
    #[serde(default)]
    pub foreign: Option<Money>,
    /// Rounds a purchase up into the saver when it settles.
    #[serde(default)]
    pub round_up: bool,
    /// How the card was used.
    #[serde(default)]
    pub card: Option<CardMethod>,
    /// The bank's free text for the kind of transaction.
    #[serde(default)]
    pub method: Option<String>,
    /// A child category.
    #[serde(default)]
    pub category: Option<String>,
}

fn held() -> Status {
    Status::Held
}

fn unnamed() -> String {
    "Unnamed Merchant".to_owned()
}

impl NewTransaction {
    /// A plain transaction, held.
    pub fn held(account: &str, amount: i64, description: &str) -> Self {
        Self {
            account: account.to_owned(),
            amount,
            status: Status::Held,
            description: description.to_owned(),
            raw_text: None,
            message: None,
            note: None,
            foreign: None,
            round_up: false,
            card: None,
            method: None,
            category: None,
        }
    }

    /// A plain transaction that settles at once.
    pub fn settled(account: &str, amount: i64, description: &str) -> Self {
        Self { status: Status::Settled, ..Self::held(account, amount, description) }
    }
}

/// A file put on a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attachment {
    /// UUID.
    pub id: String,
    /// The transaction it is on.
    pub transaction: String,
    /// Milliseconds since the epoch.
    pub created_at: i64,
}
