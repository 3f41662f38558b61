//! A ledger: every transaction counts once, every account has its balance.
//!
//! A store of seen ids drops repeats, a store of accounts holds the sums; output, both stores and the
//! input's offset are committed together.
//!
//! ```text
//! BOOTSTRAP=127.0.0.1:9092 IN_TOPIC=transactions OUT_TOPIC=balances APP_ID=ledger STATE_DIR=state \
//!     cargo run --release --package streams --example ledger
//! ```

#[path = "events/balance.rs"]
mod balance;
#[path = "events/bank.rs"]
mod bank;
#[path = "events/settings.rs"]
mod settings;

use std::time::Duration;

use apache_avro::AvroSchema as _;
use clap::Parser as _;
use serde::{Deserialize, Serialize};
use streams::{
    Classify, Context, DedupeStore, Disposition, Effects, Fault, Processor, Record, Sink, Store,
    Topology,
};

use balance::BalanceUpdated;
use bank::{BankTransaction, TransactionStatus};
use settings::Settings;

/// How long a repeated transaction is recognised.
const DEDUPE_WINDOW: Duration = Duration::from_hours(7 * 24);

/// What is known of an account.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Account {
    balance: i64,
    held: i64,
    transactions: i64,
    sequence: i64,
}

impl Account {
    /// The account after a transaction; none when a sum does not fit.
    fn after(self, status: TransactionStatus, amount: i64) -> Option<Self> {
        let (booked, held, counted) = match status {
            TransactionStatus::Held => (0, amount, 1),
            TransactionStatus::Settled => (amount, 0, 1),
            TransactionStatus::Deleted => (0, 0, 0),
        };
        Some(Self {
            balance: self.balance.checked_add(booked)?,
            held: self.held.checked_add(held)?,
            transactions: self.transactions.checked_add(counted)?,
            sequence: self.sequence.checked_add(1)?,
        })
    }
}

/// What can go wrong, and what that means for the transaction.
#[derive(Debug, thiserror::Error)]
enum LedgerError {
    #[error("the balance of account {0} does not fit 64 bits")]
    Overflow(String),
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl Classify for LedgerError {
    fn disposition(&self) -> Disposition {
        match self {
            Self::Overflow(_) => Disposition::DeadLetter,
            Self::Fault(fault) => fault.disposition(),
        }
    }
}

struct Ledger {
    seen: DedupeStore,
    accounts: Store<String, Account>,
    balances: Sink<String, BalanceUpdated>,
}

impl Processor for Ledger {
    type Key = String;
    type Value = BankTransaction;
    type Error = LedgerError;

    fn process(
        &mut self,
        ctx: &mut Context<'_>,
        record: &Record<String, BankTransaction>,
    ) -> Result<(), LedgerError> {
        let (account_id, transaction) = (&record.key, &record.value);
        let id = format!("{account_id}/{}", transaction.transaction_id);
        if !ctx.first_sight(&self.seen, &id, record.timestamp)? {
            return Ok(());
        }
        let account = ctx
            .get(&self.accounts, account_id)?
            .unwrap_or_default()
            .after(transaction.status, transaction.amount_base_units)
            .ok_or_else(|| LedgerError::Overflow(account_id.clone()))?;
        ctx.put(&self.accounts, account_id, &account)?;
        let updated = BalanceUpdated {
            account_id: account_id.clone(),
            balance_base_units: account.balance,
            held_base_units: account.held,
            transaction_count: account.transactions,
            last_transaction_id: transaction.transaction_id.clone(),
            sequence: account.sequence,
        };
        ctx.forward(&self.balances, account_id, &updated)?;
        Ok(())
    }
}

fn topology(settings: &Settings) -> Result<Topology, streams::topology::Error> {
    let mut builder = Topology::builder(&settings.app_id);
    let mut sub = builder.sub_topology("ledger", Effects::None);
    let transactions = sub.source("transactions", &settings.in_topic);
    let seen = sub.dedupe_store("seen", DEDUPE_WINDOW);
    let accounts = sub.store("accounts");
    let balances = sub.sink("balances", &settings.out_topic);
    let (stores, sinks) = ([seen.id(), accounts.id()], [balances.id()]);
    sub.processor("ledger", &transactions, move || Ledger {
        seen: seen.clone(),
        accounts: accounts.clone(),
        balances: balances.clone(),
    })
    .stores(stores)
    .sinks(sinks);
    builder.build()
}

fn main() -> anyhow::Result<()> {
    let settings = Settings::parse();
    let written = (balance::BALANCE_SCHEMA_ID, BalanceUpdated::get_schema());
    Ok(settings.application(topology(&settings)?, written).run()?)
}
