//! What every bank answers.

use std::collections::HashSet;
use std::fmt::Debug;
use std::pin::Pin;

use bytes::Bytes;

use crate::budget::BudgetState;
use crate::error::BankError;
use crate::resource::{Account, Transaction};

/// Most pages of one listing: more than an hour's budget of requests could not be read anyway.
pub const PAGES_MAX: usize = 1000;

/// A future behind a pointer, so that [`Bank`] can be a trait object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Something the bank stated, with the proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed<T> {
    /// What it means.
    pub value: T,
    /// The answer's body, byte for byte.
    pub answer: Bytes,
    /// When the answer arrived, milliseconds since the epoch.
    pub observed_at: i64,
}

/// Where a listing goes on. Only the bank that made it can read it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cursor(pub(crate) String);

/// One page of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The page's resources, in the bank's order.
    pub observed: Observed<Vec<T>>,
    /// The next page; none on the last.
    pub next: Option<Cursor>,
}

impl<T> Observed<T> {
    /// The same statement, its meaning read by `read`.
    pub fn map<U>(self, read: impl FnOnce(T) -> U) -> Observed<U> {
        let Self { value, answer, observed_at } = self;
        Observed { value: read(value), answer, observed_at }
    }
}

impl<T> Page<T> {
    pub(crate) fn map<U>(self, read: impl Fn(T) -> U) -> Page<U> {
        let observed = self.observed.map(|items| items.into_iter().map(read).collect());
        Page { observed, next: self.next }
    }
}

/// A bank that can be asked.
///
/// The pages of one listing are read one after the other: money that moves meanwhile may be on two
/// of them or on none. Who needs a balanced picture compares the balance before and after.
pub trait Bank: Debug + Send + Sync {
    /// An account and its balance now.
    fn account<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Observed<Account>, BankError>>;

    /// A transaction as it is now. [`BankError::NotFound`] after its deletion.
    fn transaction<'a>(
        &'a self,
        id: &'a str,
    ) -> BoxFuture<'a, Result<Observed<Transaction>, BankError>>;

    /// One page of the accounts; the first when `cursor` is none.
    fn accounts_page<'a>(
        &'a self,
        cursor: Option<&'a Cursor>,
    ) -> BoxFuture<'a, Result<Page<Account>, BankError>>;

    /// One page of an account's transactions; the first when `cursor` is none.
    fn transactions_page<'a>(
        &'a self,
        account_id: &'a str,
        cursor: Option<&'a Cursor>,
    ) -> BoxFuture<'a, Result<Page<Transaction>, BankError>>;

    /// What is left of the hour's requests; none for a bank without a limit.
    fn budget(&self) -> Option<BudgetState>;

    /// Every account, page after page, at most [`PAGES_MAX`].
    fn accounts(&self) -> BoxFuture<'_, Result<Vec<Observed<Vec<Account>>>, BankError>> {
        Box::pin(async move {
            let mut listing = Listing::new("accounts");
            while listing.is_open() {
                let page = self.accounts_page(listing.cursor()).await?;
                listing.add(page)?;
            }
            Ok(listing.pages)
        })
    }

    /// Every transaction of an account, page after page, at most [`PAGES_MAX`]. Held entirely in
    /// memory; who can work page by page uses [`Bank::transactions_page`].
    fn transactions<'a>(
        &'a self,
        account_id: &'a str,
    ) -> BoxFuture<'a, Result<Vec<Observed<Vec<Transaction>>>, BankError>> {
        Box::pin(async move {
            let mut listing = Listing::new("transactions");
            while listing.is_open() {
                let page = self.transactions_page(account_id, listing.cursor()).await?;
                listing.add(page)?;
            }
            Ok(listing.pages)
        })
    }
}

/// The pages of a listing read so far. Ends by itself: no page is read twice, and not too many.
pub(crate) struct Listing<T> {
    what: &'static str,
    pub(crate) pages: Vec<Observed<Vec<T>>>,
    seen: HashSet<Cursor>,
    next: Next,
}

enum Next {
    First,
    At(Cursor),
    End,
}

impl<T> Listing<T> {
    pub(crate) fn new(what: &'static str) -> Self {
        Self { what, pages: Vec::new(), seen: HashSet::new(), next: Next::First }
    }

    pub(crate) fn is_open(&self) -> bool {
        !matches!(self.next, Next::End)
    }

    pub(crate) fn cursor(&self) -> Option<&Cursor> {
        match &self.next {
            Next::At(cursor) => Some(cursor),
            Next::First | Next::End => None,
        }
    }

    pub(crate) fn add(&mut self, page: Page<T>) -> Result<(), BankError> {
        self.pages.push(page.observed);
        let Some(next) = page.next else {
            self.next = Next::End;
            return Ok(());
        };
        if !self.seen.insert(next.clone()) {
            return Err(BankError::EndlessListing { what: self.what.to_owned() });
        }
        if self.pages.len() >= PAGES_MAX {
            return Err(BankError::TooManyPages { what: self.what.to_owned(), limit: PAGES_MAX });
        }
        self.next = Next::At(next);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{Cursor, Listing, Observed, PAGES_MAX, Page};
    use crate::error::BankError;

    fn page(next: Option<usize>) -> Page<u8> {
        let observed = Observed { value: vec![1], answer: Bytes::new(), observed_at: 0 };
        Page { observed, next: next.map(|n| Cursor(n.to_string())) }
    }

    #[test]
    fn a_listing_ends_with_the_page_that_has_no_next() {
        let mut listing = Listing::new("things");
        listing.add(page(Some(1))).unwrap();
        assert_eq!(listing.cursor(), Some(&Cursor("1".to_owned())));
        listing.add(page(None)).unwrap();
        assert!(!listing.is_open());
        assert_eq!(listing.pages.len(), 2);
    }

    #[test]
    fn a_listing_that_leads_back_is_refused() {
        let mut listing = Listing::new("things");
        listing.add(page(Some(1))).unwrap();
        listing.add(page(Some(2))).unwrap();
        let refused = listing.add(page(Some(1)));
        assert!(matches!(refused, Err(BankError::EndlessListing { .. })));
    }

    #[test]
    fn a_listing_without_end_is_cut_at_the_cap() {
        let mut listing = Listing::new("things");
        for n in 1..PAGES_MAX {
            listing.add(page(Some(n))).unwrap();
        }
        let refused = listing.add(page(Some(PAGES_MAX)));
        assert!(matches!(refused, Err(BankError::TooManyPages { limit: PAGES_MAX, .. })));
    }
}
