//! What can be wrong with a record, the bank, or the store, and what happens then.

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
