//! What can be wrong with a record, the bank, or the store, and what happens then.

use std::time::Duration;

use banks::BankError;
use streams::{Classify, Disposition, Fault};

/// Why a record cannot enter the books.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BooksError {
    /// A sum left the range of 64 bits.
    #[error("sum `{sum}` does not fit 64 bits")]
    Overflow {
        /// Name of the sum.
        sum: &'static str,
    },
    /// An amount in another currency than the account's.
    #[error("amount is in `{found}`: expected `{expected}`, the account's currency")]
    Currency {
        /// The account's currency.
        expected: String,
        /// The amount's currency.
        found: String,
    },
    /// A status we cannot place between held and settled.
    #[error("transaction status `{status}` is unknown: expected HELD or SETTLED")]
    Status {
        /// As the bank sent it.
        status: String,
    },
    /// A change that must come with a transaction came without.
    #[error("change `{change}` carries no transaction")]
    NoTransaction {
        /// As the record says.
        change: String,
    },
}

/// What ends the handling of a record.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The runtime's own.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The record, or the bank's list, does not fit the books.
    #[error("booking")]
    Books(#[from] BooksError),
    /// The bank gave no usable answer.
    #[error("opening the account")]
    Bank(#[from] BankError),
    /// The balance moved every time while the list was read.
    #[error(
        "the balance moved in each of {rounds} readings: the opening needs the same before and after the list"
    )]
    Moving {
        /// Readings made.
        rounds: usize,
    },
    /// A listed transaction belongs to another account.
    #[error("the bank's list for the account has a transaction of another account")]
    ForeignTransaction,
    /// The record's key is not its account.
    #[error(
        "the record's key is not its account id: records of one account must share a partition"
    )]
    Key,
    /// The text cannot be an id here.
    #[error(
        "the {what} id is not usable: expected 1 to {limit} bytes without control characters, an account's without `/`"
    )]
    Id {
        /// account or transaction.
        what: &'static str,
        /// The limit, bytes.
        limit: usize,
    },
    /// A row of the store is of another kind than its key says.
    #[error("ledger row `{key}` is not {expected}: the store was written by something else")]
    Row {
        /// The row's key.
        key: String,
        /// The kind its key stands for.
        expected: &'static str,
    },
}

/// How long an account waits for its opening when the bank does not answer. Only its own records
/// wait; opened accounts need no bank.
const BANK_PAUSE: Duration = Duration::from_secs(30);

impl Classify for Error {
    fn disposition(&self) -> Disposition {
        match self {
            Self::Fault(fault) => fault.disposition(),
            Self::Bank(error) => bank_disposition(error),
            // a quieter moment comes; until then nothing of the account is lost, since the opening
            // will list it
            Self::Moving { .. } => Disposition::retry(),
            Self::Books(_) | Self::ForeignTransaction | Self::Key | Self::Id { .. } => {
                Disposition::DeadLetter
            }
            Self::Row { .. } => Disposition::Halt,
        }
    }
}

fn bank_disposition(error: &BankError) -> Disposition {
    match error {
        BankError::Unauthorized => Disposition::Halt,
        BankError::RateLimited { wait, .. } => Disposition::wait(*wait),
        BankError::Unavailable { reason, retry_after, .. } if reason.is_outage() => {
            Disposition::wait(retry_after.unwrap_or(BANK_PAUSE))
        }
        BankError::Unavailable { retry_after: Some(after), .. } => Disposition::retry_after(*after),
        // a 500 may be about this account only, and something between us and the bank may have
        // answered in its place
        BankError::Unavailable { retry_after: None, .. }
        | BankError::Malformed { .. }
        | BankError::WrongResource { .. }
        | BankError::TooLarge { .. }
        | BankError::ForeignLink { .. }
        | BankError::EndlessListing { .. } => Disposition::retry(),
        BankError::NotFound { .. }
        | BankError::Rejected { .. }
        | BankError::InvalidId { .. }
        | BankError::TooManyPages { .. } => Disposition::DeadLetter,
    }
}
