//! Every output, compared with what the input says has to come out.

use anyhow::Context as _;
use rdkafka::message::{BorrowedMessage, Message as _};

use super::Quality;
use super::data::{self, Data};
use super::event::{Codec, TransactionStatus};
use super::program::Kind;

/// What is known of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Account {
    balance: i64,
    held: i64,
    count: i64,
    sequence: i64,
}

impl Account {
    fn add(&mut self, original: u64) {
        let amount = data::amount(original);
        // The sums of a bench stay far below what 64 bits hold.
        match data::status(original) {
            TransactionStatus::Held => self.held = self.held.saturating_add(amount),
            TransactionStatus::Settled => self.balance = self.balance.saturating_add(amount),
            TransactionStatus::Deleted => self.count = self.count.saturating_sub(1),
        }
        self.count = self.count.saturating_add(1);
        self.sequence = self.sequence.saturating_add(1);
    }
}

/// Takes the outputs of one run.
pub(super) struct Verifier {
    kind: Kind,
    codec: Codec,
    expected: Vec<Account>,
    found: Vec<Account>,
    /// Per transaction: outputs due less outputs seen.
    due: Vec<i64>,
    quality: Quality,
    /// Outputs that have to come.
    pub(super) outputs: u64,
    /// Times at which the broker took the outputs, milliseconds.
    pub(super) times: Vec<i64>,
}

impl Verifier {
    pub(super) fn new(kind: Kind, data: &Data) -> anyhow::Result<Self> {
        let accounts = vec![Account::default(); usize::try_from(data.accounts)?];
        let mut verifier = Self {
            kind,
            codec: Codec::new()?,
            found: accounts.clone(),
            expected: accounts,
            due: vec![0; usize::try_from(data.records)?],
            quality: Quality::default(),
            outputs: 0,
            times: Vec::new(),
        };
        for i in 0..data.records {
            let original = data::original(i);
            verifier.expect(data, original, original == i);
        }
        Ok(verifier)
    }

    fn expect(&mut self, data: &Data, original: u64, is_first: bool) {
        let slot = usize::try_from(original).ok().and_then(|at| self.due.get_mut(at));
        if self.kind == Kind::Ledger && !is_first {
            return;
        }
        self.outputs = self.outputs.saturating_add(1);
        if let Some(due) = slot {
            *due = due.saturating_add(1);
        }
        let account = usize::try_from(data.account(original)).ok();
        if let Some(account) = account.and_then(|at| self.expected.get_mut(at)) {
            account.add(original);
        }
    }

    /// Outputs seen so far.
    pub(super) fn count(&self) -> u64 {
        u64::try_from(self.times.len()).unwrap_or(u64::MAX)
    }

    pub(super) fn take(&mut self, message: &BorrowedMessage<'_>) -> anyhow::Result<()> {
        let value = message.payload().context("an output has no value")?;
        let key = message.key().context("an output has no key")?;
        self.times.push(message.timestamp().to_millis().context("an output has no time")?);
        match self.kind {
            Kind::Ledger => self.take_balance(key, value),
            Kind::PassThrough | Kind::Enrich => self.take_transaction(key, value),
        }
    }

    fn take_balance(&mut self, key: &[u8], value: &[u8]) -> anyhow::Result<()> {
        let output = self.codec.balance(value)?;
        let place = data::account_of(&output.account_id).and_then(|at| usize::try_from(at).ok());
        let known = place.and_then(|at| self.found.get_mut(at));
        let Some(account) = known.filter(|_| key == output.account_id.as_bytes()) else {
            self.quality.wrong = self.quality.wrong.saturating_add(1);
            return Ok(());
        };
        let next = account.sequence.saturating_add(1);
        if output.sequence < next {
            self.quality.double = self.quality.double.saturating_add(1);
            return Ok(());
        }
        let skipped = u64::try_from(output.sequence.saturating_sub(next))?;
        self.quality.missing = self.quality.missing.saturating_add(skipped);
        *account = Account {
            balance: output.balance_base_units,
            held: output.held_base_units,
            count: output.transaction_count,
            sequence: output.sequence,
        };
        Ok(())
    }

    fn take_transaction(&mut self, key: &[u8], value: &[u8]) -> anyhow::Result<()> {
        let output = self.codec.transaction(value)?;
        let place = data::place(&output.transaction_id).and_then(|at| usize::try_from(at).ok());
        let due = place.and_then(|at| self.due.get_mut(at));
        let Some(due) = due.filter(|_| key == output.account_id.as_bytes()) else {
            self.quality.wrong = self.quality.wrong.saturating_add(1);
            return Ok(());
        };
        *due = due.saturating_sub(1);
        Ok(())
    }

    /// The verdict, and the times of all outputs in order.
    pub(super) fn judge(mut self) -> (Quality, Vec<i64>) {
        if self.kind == Kind::Ledger {
            for (expected, found) in self.expected.iter().zip(&self.found) {
                let missing = expected.sequence.saturating_sub(found.sequence);
                self.quality.missing =
                    self.quality.missing.saturating_add(u64::try_from(missing).unwrap_or(0));
                let is_wrong = missing < 0 || (missing == 0 && expected != found);
                self.quality.wrong = self.quality.wrong.saturating_add(u64::from(is_wrong));
            }
        } else {
            for due in &self.due {
                let missing = u64::try_from(*due).unwrap_or(0);
                self.quality.missing = self.quality.missing.saturating_add(missing);
                let double = u64::try_from(due.saturating_neg()).unwrap_or(0);
                self.quality.double = self.quality.double.saturating_add(double);
            }
        }
        self.times.sort_unstable();
        (self.quality, self.times)
    }

    /// The next transaction of `original`'s account, as it has to come out.
    pub(super) fn sequence_after(&self, account: u32) -> Option<i64> {
        let known = self.expected.get(usize::try_from(account).ok()?)?;
        Some(known.sequence.saturating_add(1))
    }
}
