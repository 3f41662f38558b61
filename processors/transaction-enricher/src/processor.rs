//! From an event to what the bank says about it.

use std::collections::BTreeMap;
use std::sync::Arc;

use banks::{Account, Bank, Observed, Transaction};
use schemas::{AccountObserved, TransactionEnriched, WebhookReceived, canary};
use sha2::{Digest as _, Sha256};
use streams::{AsyncProcessor, Begin, Context, Record, Sink};

use crate::change::{Known, Plan, change, plan};
use crate::error::Error;
use crate::event::{self, Announced, Event};
use crate::inquiry::{self, Findings, Kept, Subject};
use crate::memory::Memory;
use crate::numbers::{Fate, Numbers};
use crate::output;

type Raw = Record<String, WebhookReceived>;

/// One question, and whom it goes to.
#[derive(Clone, Debug)]
pub(crate) struct Inquiry {
    source: String,
    announced: Announced,
    transaction_id: String,
    subject: Subject,
    kept: Kept,
}

/// What came back, with the question.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    inquiry: Inquiry,
    findings: Findings,
}

/// Asks the bank about each event, once, and records its answer.
#[derive(Clone, Debug)]
pub(crate) struct Enricher {
    /// The clients, by the name of the declared source.
    pub(crate) banks: BTreeMap<String, Arc<dyn Bank>>,
    pub(crate) memory: Memory,
    pub(crate) transactions: Sink<String, TransactionEnriched>,
    pub(crate) accounts: Sink<String, AccountObserved>,
    pub(crate) numbers: Numbers,
}

impl AsyncProcessor for Enricher {
    type Key = String;
    type Value = WebhookReceived;
    type Request = Inquiry;
    type Answer = Answer;
    type Error = Error;

    fn begin(&mut self, ctx: &mut Context<'_>, record: &Raw) -> Result<Begin<Inquiry>, Error> {
        let WebhookReceived { source, event_id, body, origin, .. } = &record.value;
        if origin == canary::ORIGIN {
            return Ok(self.done(record, Fate::Canary));
        }
        if !self.banks.contains_key(source) {
            return Ok(self.done(record, Fate::OtherSource));
        }
        let (announced, transaction_id) = match event::read(event_id, body)? {
            Event::Ping => return Ok(self.done(record, Fate::Ping)),
            Event::Unknown => return Ok(self.done(record, Fate::UnknownType)),
            Event::Transaction { announced, transaction_id } => (announced, transaction_id),
        };
        if self.memory.is_handled(ctx, source, event_id)? {
            return Ok(self.done(record, Fate::Duplicate));
        }
        let known = self.memory.transaction(ctx, source, &transaction_id)?;
        let subject = match plan(announced, known.as_ref()) {
            Plan::Ask => Subject::Transaction(transaction_id.clone()),
            Plan::Bury { account_id: Some(account_id) } => Subject::Account(account_id),
            Plan::Bury { account_id: None } => Subject::Accounts,
            Plan::StayDeleted => {
                self.remember(ctx, record)?;
                return Ok(self.done(record, Fate::AlreadyDeleted));
            }
        };
        let (source, kept) = (source.clone(), Kept::default());
        Ok(Begin::Call(Inquiry { source, announced, transaction_id, subject, kept }))
    }

    fn call(
        &self,
        inquiry: Inquiry,
    ) -> impl Future<Output = Result<Answer, Error>> + Send + 'static {
        let bank = self.banks.get(&inquiry.source).cloned();
        async move {
            let source = inquiry.source.clone();
            let Some(bank) = bank else { return Err(Error::NoClient { source_name: source }) };
            let findings =
                inquiry::ask(bank, source, inquiry.subject.clone(), inquiry.kept.clone()).await?;
            Ok(Answer { inquiry, findings })
        }
    }

    fn complete(
        &mut self,
        ctx: &mut Context<'_>,
        record: &Raw,
        answer: Answer,
    ) -> Result<(), Error> {
        let Answer { inquiry, findings } = answer;
        match findings {
            Findings::Gone => {
                self.remember(ctx, record)?;
                self.pass_over(record, Fate::Gone);
            }
            Findings::Account(account) => {
                if let Subject::Account(account_id) = inquiry.subject {
                    self.tell_deleted(ctx, record, &inquiry.transaction_id, Some(&account_id))?;
                    self.bury(ctx, record, &inquiry.transaction_id, Some(account_id))?;
                }
                self.observe(ctx, record, account)?;
            }
            Findings::Accounts(accounts) => {
                self.tell_all(ctx, record, &inquiry.transaction_id, accounts)?;
                self.bury(ctx, record, &inquiry.transaction_id, None)?;
            }
            Findings::Transaction { transaction, account } => {
                self.enrich(ctx, record, inquiry.announced, *transaction)?;
                self.observe(ctx, record, account)?;
            }
        }
        self.show_budget(&inquiry.source);
        Ok(())
    }

    fn punctuate(&mut self, _: &mut Context<'_>) -> Result<(), Error> {
        for source in self.banks.keys() {
            self.show_budget(source);
        }
        Ok(())
    }
}

impl Enricher {
    /// The record's event is handled: its like is passed over from now on.
    fn remember(&self, ctx: &mut Context<'_>, record: &Raw) -> Result<(), Error> {
        let WebhookReceived { source, event_id, .. } = &record.value;
        Ok(self.memory.remember_event(ctx, source, event_id, record.timestamp)?)
    }

    fn pass_over(&self, record: &Raw, fate: Fate) {
        let reason = fate.as_str();
        tracing::debug!(reason, position = %record.position, "event passed over");
        self.numbers.count(fate);
    }

    fn done(&self, record: &Raw, fate: Fate) -> Begin<Inquiry> {
        self.pass_over(record, fate);
        Begin::Done
    }

    fn enrich(
        &self,
        ctx: &mut Context<'_>,
        record: &Raw,
        announced: Announced,
        observed: Observed<Transaction>,
    ) -> Result<(), Error> {
        let source = &record.value.source;
        let Transaction { id, account_id, status, .. } = &observed.value;
        let (id, account_id, status) = (id.clone(), account_id.clone(), status.clone());
        let known = self.memory.transaction(ctx, source, &id)?;
        let digest = hex::encode(Sha256::digest(&observed.answer));
        let change = change(announced, known.as_ref(), &status, &digest);
        let enriched = output::enriched(record, change, observed);
        ctx.forward(&self.transactions, &account_id, &enriched)?;
        let known = Known::Seen { account_id, status, digest };
        self.memory.remember_transaction(ctx, source, &id, &known)?;
        self.remember(ctx, record)?;
        self.numbers.count(Fate::Enriched);
        Ok(())
    }

    /// Tells every account of a deletion whose account is unknown here, with its balance.
    ///
    /// Unknown here does not mean untold: a crash can leave a transaction on the topic and take the
    /// memory of it, and the bank, asked again, no longer knows it. Whoever has booked it there must
    /// hear that it is gone; to the others it is a deletion of nothing.
    fn tell_all(
        &self,
        ctx: &mut Context<'_>,
        record: &Raw,
        transaction_id: &str,
        accounts: Vec<Observed<Account>>,
    ) -> Result<(), Error> {
        if accounts.is_empty() {
            return self.tell_deleted(ctx, record, transaction_id, None);
        }
        for account in accounts {
            self.tell_deleted(ctx, record, transaction_id, Some(&account.value.id))?;
            self.observe(ctx, record, Some(account))?;
        }
        Ok(())
    }

    /// Without an account, the record is keyed by the transaction.
    fn tell_deleted(
        &self,
        ctx: &mut Context<'_>,
        record: &Raw,
        transaction_id: &str,
        account_id: Option<&str>,
    ) -> Result<(), Error> {
        let key = account_id.unwrap_or(transaction_id).to_owned();
        let deleted = output::deleted(record, transaction_id, account_id.map(str::to_owned));
        ctx.forward(&self.transactions, &key, &deleted)?;
        Ok(())
    }

    /// Remembers a deletion, so that nothing more is said about the transaction.
    fn bury(
        &self,
        ctx: &mut Context<'_>,
        record: &Raw,
        transaction_id: &str,
        account_id: Option<String>,
    ) -> Result<(), Error> {
        let known = Known::Deleted { account_id };
        self.memory.remember_transaction(ctx, &record.value.source, transaction_id, &known)?;
        self.remember(ctx, record)?;
        self.numbers.count(Fate::Deleted);
        Ok(())
    }

    fn observe(
        &self,
        ctx: &mut Context<'_>,
        record: &Raw,
        account: Option<Observed<Account>>,
    ) -> Result<(), Error> {
        let Some(account) = account else {
            tracing::debug!(position = %record.position, "the bank no longer knows the account");
            return Ok(());
        };
        let observed = output::account(record, account);
        ctx.forward(&self.accounts, &observed.account_id.clone(), &observed)?;
        Ok(())
    }

    fn show_budget(&self, source: &str) {
        if let Some(budget) = self.banks.get(source).and_then(|bank| bank.budget()) {
            self.numbers.show_budget(source, budget);
        }
    }
}

#[cfg(test)]
mod tests;
