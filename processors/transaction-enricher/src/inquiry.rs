//! What the bank is asked about one event.

use std::sync::{Arc, OnceLock};

use banks::{Account, Bank, BankError, Observed, Transaction};

use crate::error::Error;

/// What to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A transaction, then the account it belongs to.
    Transaction(String),
    /// An account whose transaction was deleted.
    Account(String),
    /// Every account: a transaction was deleted, and nobody knows whose.
    Accounts,
}

/// The transaction, once it was read. A question whose account could not be read is asked again, and
/// then does not spend a second request on the transaction: when many events wait for a new hour's
/// budget, reading each transaction again would use it up before the first is finished.
pub(crate) type Kept = Arc<OnceLock<Observed<Transaction>>>;

/// What the bank answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Findings {
    /// The transaction; its account is missing when the bank no longer knows that one.
    Transaction { transaction: Box<Observed<Transaction>>, account: Option<Observed<Account>> },
    /// The bank does not know the transaction: it was deleted meanwhile.
    Gone,
    /// The account alone.
    Account(Option<Observed<Account>>),
    /// Every account the bank lists, each with the answer that listed it.
    Accounts(Vec<Observed<Account>>),
}

/// Asks. A 500 may be about this one question or about all; one look at something else tells, so
/// that an outage of any kind is waited out, and a single bad resource does not wait for ever.
pub(crate) async fn ask(
    bank: Arc<dyn Bank>,
    source: String,
    subject: Subject,
    kept: Kept,
) -> Result<Findings, Error> {
    let error = match read(bank.as_ref(), subject, &kept).await {
        Ok(findings) => return Ok(findings),
        Err(error) => error,
    };
    let is_doubtful =
        matches!(&error, BankError::Unavailable { reason, .. } if !reason.is_outage());
    if is_doubtful && bank.accounts_page(None).await.is_err() {
        return Err(Error::Outage(error));
    }
    Err(Error::bank(&source, error))
}

/// The transaction comes first: the balance must be at least as new, or the books would look off by
/// this very transaction.
async fn read(bank: &dyn Bank, subject: Subject, kept: &Kept) -> Result<Findings, BankError> {
    match subject {
        Subject::Account(id) => Ok(Findings::Account(found(bank.account(&id).await)?)),
        Subject::Accounts => {
            let pages = bank.accounts().await?;
            Ok(Findings::Accounts(pages.into_iter().flat_map(each).collect()))
        }
        Subject::Transaction(id) => {
            let transaction = match kept.get() {
                Some(transaction) => transaction.clone(),
                None => match found(bank.transaction(&id).await)? {
                    Some(transaction) => kept.get_or_init(|| transaction).clone(),
                    None => return Ok(Findings::Gone),
                },
            };
            let account = found(bank.account(&transaction.value.account_id).await)?;
            Ok(Findings::Transaction { transaction: Box::new(transaction), account })
        }
    }
}

/// The accounts of a page, one by one.
fn each(page: Observed<Vec<Account>>) -> impl Iterator<Item = Observed<Account>> {
    let Observed { value, answer, observed_at } = page;
    value.into_iter().map(move |value| Observed { value, answer: answer.clone(), observed_at })
}

/// Not found is an answer: things are deleted at any time.
fn found<T>(answer: Result<T, BankError>) -> Result<Option<T>, BankError> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(BankError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
