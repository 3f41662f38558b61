//! What happens to the books, and what is said about them, when a record or the clock comes?

use std::collections::HashSet;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use banks::Bank;
use schemas::{AccountObserved, BalanceReconciled, Timestamp, TransactionEnriched};
use streams::{AsyncProcessor, Begin, Context, Record, Sink, Value};

use crate::account::{Account, Booking, Observation, Opened, Snapshot};
use crate::error::Error;
use crate::ledger::{AccountId, Ledger};
use crate::numbers::{Fate, Numbers};
use crate::opening;
use crate::statement::{says_more, statement};
use crate::version::Sighting;

/// What a record is about and does to a page.
pub trait Fact: Value {
    /// Name of the declared source.
    fn source(&self) -> &str;

    /// The account; none for a deletion whose account nobody knows.
    fn account_id(&self) -> Option<&str>;

    /// What becomes of this record; and the page after it, unless it tells nothing new.
    fn apply(
        &self,
        ctx: &mut Context<'_>,
        ledger: &Ledger,
        id: &AccountId,
        page: &Account,
    ) -> Result<(Fate, Option<Account>), Error>;
}

impl Fact for TransactionEnriched {
    fn source(&self) -> &str {
        &self.source
    }

    fn account_id(&self) -> Option<&str> {
        self.account_id.as_deref()
    }

    fn apply(
        &self,
        ctx: &mut Context<'_>,
        ledger: &Ledger,
        id: &AccountId,
        page: &Account,
    ) -> Result<(Fate, Option<Account>), Error> {
        let sighting = Sighting::of_enriched(self)?;
        let row = ledger.entry(ctx, id, &self.transaction_id)?;
        match page.book(row, &sighting, ctx.now())? {
            Booking::Booked(page, entry) => {
                ledger.put_entry(ctx, id, &self.transaction_id, entry)?;
                Ok((Fate::Booked, Some(page)))
            }
            Booking::Known => Ok((Fate::Known, None)),
            Booking::GoneBeforeOpening => Ok((Fate::GoneBeforeOpening, None)),
        }
    }
}

impl Fact for AccountObserved {
    fn source(&self) -> &str {
        &self.source
    }

    fn account_id(&self) -> Option<&str> {
        Some(&self.account_id)
    }

    fn apply(
        &self,
        ctx: &mut Context<'_>,
        _ledger: &Ledger,
        _id: &AccountId,
        page: &Account,
    ) -> Result<(Fate, Option<Account>), Error> {
        let look = Observation { observed_at: self.observed_at, balance: self.balance };
        Ok(match page.observe(look, &self.currency, ctx.now())? {
            Some(page) => (Fate::Compared, Some(page)),
            None => (Fate::Outdated, None),
        })
    }
}

/// What both processors share.
#[derive(Clone, Debug)]
pub struct Desk {
    /// The store.
    pub ledger: Ledger,
    /// Where statements go.
    pub statements: Sink<String, BalanceReconciled>,
    /// Whom to ask for the opening.
    pub bank: Arc<dyn Bank>,
    /// The declared source whose accounts `bank` knows.
    pub source: String,
    /// How long an account must be quiet before its difference is unexplained.
    pub quiet_period: Duration,
    /// What is counted.
    pub numbers: Numbers,
}

impl Desk {
    /// The account a record is about, or `None` when it is not for these books.
    fn addressee<V: Fact>(&self, record: &Record<String, V>) -> Result<Option<AccountId>, Error> {
        if record.value.source() != self.source {
            self.numbers.count(Fate::OtherSource);
            return Ok(None);
        }
        let Some(id) = record.value.account_id() else {
            self.numbers.count(Fate::NoAccount);
            return Ok(None);
        };
        if id != record.key {
            return Err(Error::Key);
        }
        AccountId::new(id).map(Some)
    }

    /// Applies a record to an open account and says so if it changed anything.
    fn apply<V: Fact>(
        &self,
        ctx: &mut Context<'_>,
        id: &AccountId,
        page: &Account,
        fact: &V,
    ) -> Result<(), Error> {
        let (fate, after) = fact.apply(ctx, &self.ledger, id, page)?;
        self.numbers.count(fate);
        match after {
            Some(after) => self.write(ctx, id, Some(page), after),
            None => Ok(()),
        }
    }

    /// Books the opening, and the record that called for it on top.
    fn open<V: Fact>(
        &self,
        ctx: &mut Context<'_>,
        id: &AccountId,
        snapshot: Snapshot,
        fact: &V,
    ) -> Result<(), Error> {
        let Opened { account, entries } = snapshot.open(ctx.now())?;
        for (transaction, entry) in entries {
            self.ledger.put_entry(ctx, id, &transaction, entry)?;
        }
        let (fate, after) = fact.apply(ctx, &self.ledger, id, &account)?;
        self.numbers.count(fate);
        self.numbers.count_opened();
        self.write(ctx, id, None, after.unwrap_or(account))
    }

    fn write(
        &self,
        ctx: &mut Context<'_>,
        id: &AccountId,
        before: Option<&Account>,
        after: Account,
    ) -> Result<(), Error> {
        if before.is_none_or(|before| says_more(before, &after)) {
            let made = statement(id.as_str(), &after, ctx.now())?;
            ctx.forward(&self.statements, &id.as_str().to_owned(), &made)?;
        }
        self.ledger.put_account(ctx, id, after)
    }

    fn is_over(&self, quiet_ms: i64) -> bool {
        u64::try_from(quiet_ms).is_ok_and(|ms| Duration::from_millis(ms) >= self.quiet_period)
    }
}

/// Keeps the books with records of one topic; [`Desk`] and its store are shared with the other.
#[derive(Debug)]
pub struct Reconciler<V> {
    desk: Desk,
    /// Accounts whose sums were checked against their rows since this instance began.
    checked: HashSet<AccountId>,
    /// When this instance first looked at the clock. What moved while nobody read may still wait in
    /// the topics, so that no account is quiet for longer than we have been reading.
    awake_since: Option<Timestamp>,
    value: PhantomData<fn() -> V>,
}

impl<V: Fact> Reconciler<V> {
    /// A reconciler at `desk`.
    pub fn new(desk: Desk) -> Self {
        Self { desk, checked: HashSet::new(), awake_since: None, value: PhantomData }
    }

    /// The page of an open account. The first time, its sums are checked against its rows: see
    /// [`Account::mended`].
    fn page(&mut self, ctx: &mut Context<'_>, id: &AccountId) -> Result<Option<Account>, Error> {
        let ledger = &self.desk.ledger;
        let Some(page) = ledger.account(ctx, id)? else { return Ok(None) };
        if self.checked.contains(id) {
            return Ok(Some(page));
        }
        let mended = page.mended(&ledger.entries(ctx, id)?)?;
        match &mended {
            Some(mended) if *mended == page => {
                self.checked.insert(id.clone());
            }
            // not noted as checked: if the record fails, this write is lost with it
            Some(mended) => {
                self.desk.numbers.count_mended();
                ledger.put_account(ctx, id, mended.clone())?;
            }
            // the opening is incomplete; the caller makes it again
            None => {}
        }
        Ok(mended)
    }

    /// Judges the accounts that wait and have been quiet for long enough.
    fn judge(&mut self, ctx: &mut Context<'_>, awake_since: Timestamp) -> Result<(), Error> {
        for id in self.desk.ledger.waiting(ctx)? {
            let Some(page) = self.page(ctx, &id)? else { continue };
            let quiet_since = page.changed_at.max(awake_since);
            if self.desk.is_over(ctx.now().saturating_sub(quiet_since)) {
                self.desk.write(ctx, &id, Some(&page), page.judged()?)?;
                self.desk.numbers.count_unexplained();
            }
        }
        Ok(())
    }
}

impl<V: Fact> AsyncProcessor for Reconciler<V> {
    type Key = String;
    type Value = V;
    type Request = AccountId;
    type Answer = Snapshot;
    type Error = Error;

    fn begin(
        &mut self,
        ctx: &mut Context<'_>,
        record: &Record<String, V>,
    ) -> Result<Begin<AccountId>, Error> {
        let Some(id) = self.desk.addressee(record)? else { return Ok(Begin::Done) };
        let Some(page) = self.page(ctx, &id)? else { return Ok(Begin::Call(id)) };
        self.desk.apply(ctx, &id, &page, &record.value)?;
        Ok(Begin::Done)
    }

    fn call(
        &self,
        id: AccountId,
    ) -> impl Future<Output = Result<Snapshot, Error>> + Send + 'static {
        opening::read(Arc::clone(&self.desk.bank), id)
    }

    fn complete(
        &mut self,
        ctx: &mut Context<'_>,
        record: &Record<String, V>,
        snapshot: Snapshot,
    ) -> Result<(), Error> {
        let Some(id) = self.desk.addressee(record)? else { return Ok(()) };
        // an opening is booked once, whoever asked for it first
        match self.page(ctx, &id)? {
            Some(page) => self.desk.apply(ctx, &id, &page, &record.value),
            None => self.desk.open(ctx, &id, snapshot, &record.value),
        }
    }

    fn punctuate(&mut self, ctx: &mut Context<'_>) -> Result<(), Error> {
        let awake_since = *self.awake_since.get_or_insert(ctx.now());
        self.judge(ctx, awake_since)
    }
}

#[cfg(test)]
mod tests;
