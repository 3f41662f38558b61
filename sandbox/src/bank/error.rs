//! Why the bank refuses an operation.

use super::{TAG_CHARS_MAX, TAGS_MAX};

/// A refused operation; the books are as they were.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No such account.
    #[error("account `{0}` does not exist")]
    AccountNotFound(String),
    /// No such live transaction: it never was, or it is deleted.
    #[error("transaction `{0}` does not exist")]
    TransactionNotFound(String),
    /// Only a held transaction settles or is deleted.
    #[error("transaction `{0}` is not held")]
    NotHeld(String),
    /// A transfer needs two different accounts.
    #[error("a transfer needs two different accounts, both are `{0}`")]
    SameAccount(String),
    /// A transfer moves a positive amount from one account to the other.
    #[error("a transfer's amount must be positive, not {0}")]
    NotPositive(i64),
    /// The balance does not fit 64 bits.
    #[error("the balance of account `{0}` would not fit 64 bits")]
    Overflow(String),
    /// A named limit of the sandbox.
    #[error("the sandbox keeps at most {limit} {what}")]
    Full {
        /// What there is too much of.
        what: &'static str,
        /// How many are allowed.
        limit: usize,
    },
    /// No such category.
    #[error("category `{0}` does not exist")]
    CategoryNotFound(String),
    /// Only a child category can be put on a transaction.
    #[error("category `{0}` is a parent category; choose one of its children")]
    ParentCategory(String),
    /// Transfers have no category.
    #[error("transaction `{0}` is not categorizable")]
    NotCategorizable(String),
    /// Too many tags.
    #[error("a transaction has at most {TAGS_MAX} tags")]
    TooManyTags,
    /// A tag nobody could read.
    #[error("a tag has 1 to {TAG_CHARS_MAX} characters")]
    BadTag,
}
