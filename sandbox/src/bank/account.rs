//! An account and what moves its balance.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// What an account is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[value(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AccountType {
    /// Savings.
    Saver,
    /// Everyday spending.
    Transactional,
    /// A loan.
    HomeLoan,
}

/// Who owns an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[value(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OwnershipType {
    /// One person.
    Individual,
    /// Two people.
    Joint,
}

/// An account in Australian dollars.
///
/// `balance` is the available one: every live transaction counts, held ones included, so that
/// `balance = opening + sum(live amounts) + adjusted` at any time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Account {
    /// UUID.
    pub id: String,
    /// As people see it.
    pub name: String,
    /// What it is for.
    #[serde(rename = "type")]
    pub kind: AccountType,
    /// Who owns it.
    pub ownership: OwnershipType,
    /// Base units before the first transaction.
    pub opening: i64,
    /// Base units available now.
    pub balance: i64,
    /// Base units that moved without any transaction (a fault of the control API).
    pub adjusted: i64,
    /// Milliseconds since the epoch.
    pub created_at: i64,
}

/// What it takes to open an account.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewAccount {
    /// As people see it.
    pub name: String,
    /// What it is for.
    #[serde(rename = "type", default = "transactional")]
    pub kind: AccountType,
    /// Who owns it.
    #[serde(default = "individual")]
    pub ownership: OwnershipType,
    /// Base units it starts with.
    #[serde(default)]
    pub opening: i64,
}

fn transactional() -> AccountType {
    AccountType::Transactional
}

fn individual() -> OwnershipType {
    OwnershipType::Individual
}
