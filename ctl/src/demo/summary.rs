//! What a day came to, compared with the truth of the bank.
use std::collections::{BTreeMap, HashSet};

use serde::Serialize;

use super::{Received, Totals};
use crate::pipeline::{Event, Truth};

/// The transaction whose webhook was lost on purpose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lost {
    /// The bank's id.
    pub transaction: String,
    /// Its account.
    pub account: String,
    /// Base units.
    pub amount: i64,
}

/// An account at the end of the day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AccountSummary {
    /// The bank's id.
    pub id: String,
    /// Name the holder gave it.
    pub name: String,
    /// What the bank has, base units.
    pub bank: i64,
    /// What the books say, base units; none when nothing was reconciled.
    pub ledger: Option<i64>,
    /// The bank's less the books'.
    pub difference: i64,
    /// The part of it without a known reason.
    pub unexplained: i64,
    /// balanced, timing, unexplained, or unseen.
    pub status: String,
}

/// The end of a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Whether everything is as the bank says; `findings` tell what is not.
    pub ok: bool,
    /// What is not as it must be.
    pub findings: Vec<String>,
    /// Events the bank made, the lost one included.
    pub events: usize,
    /// What the ingress made of the requests.
    pub webhooks: Received,
    /// Different events on the raw topic.
    pub recorded: usize,
    /// Changes of transactions.
    pub enriched: u64,
    /// Every account.
    pub accounts: Vec<AccountSummary>,
    /// The webhook that was lost on purpose.
    pub lost: Option<Lost>,
    /// Triggers fired.
    pub triggers_fired: usize,
    /// Triggers taken back.
    pub triggers_reversed: usize,
    /// Coins dropped, less those taken back.
    pub coins: i64,
    /// Posts asked for.
    pub posts_requested: usize,
    /// Posts by outcome.
    pub posts: BTreeMap<String, usize>,
    /// Records that a processor gave up.
    pub dead_letters: u64,
    /// Records not read yet, all apps together.
    pub lag: i64,
}

impl Summary {
    /// Compares what passed with the truth.
    pub fn new(
        truth: &Truth,
        events: &[Event],
        totals: &Totals,
        webhooks: Received,
        lost: Option<Lost>,
        lag: i64,
    ) -> Self {
        let mut posts = BTreeMap::new();
        for outcome in totals.published.values() {
            *posts.entry(outcome.clone()).or_insert(0) += 1;
        }
        let mut summary = Self {
            ok: false,
            findings: Vec::new(),
            events: events.len(),
            webhooks,
            recorded: totals.events.len(),
            enriched: totals.enriched,
            accounts: accounts(truth, totals),
            lost,
            triggers_fired: totals.fired.len(),
            triggers_reversed: totals.reversed.len(),
            coins: totals.coins,
            posts_requested: totals.requested.len(),
            posts,
            dead_letters: totals.dead_letters,
            lag,
        };
        summary.findings = summary.find(events, totals);
        summary.ok = summary.findings.is_empty();
        summary
    }

    fn find(&self, events: &[Event], totals: &Totals) -> Vec<String> {
        let delivered: HashSet<&str> = events
            .iter()
            .filter(|event| event.fate == "delivered")
            .map(|event| event.id.as_str())
            .collect();
        let missing = delivered.iter().filter(|id| !totals.events.contains(**id)).count();
        let mut findings = Vec::new();
        let mut find = |wrong: bool, finding: String| {
            if wrong {
                findings.push(finding);
            }
        };
        find(missing > 0, format!("{missing} delivered events are not on the raw topic"));
        let known: HashSet<&str> = events.iter().map(|event| event.id.as_str()).collect();
        let forged = totals.events.iter().filter(|id| !known.contains(id.as_str())).count();
        find(forged > 0, format!("{forged} events on the raw topic are not the bank's"));
        let repeated = totals.repeated();
        find(
            !repeated.is_empty(),
            format!("outputs that are there twice: {}", repeated.join(", ")),
        );
        find(self.lag > 0, format!("{} records are not processed", self.lag));
        find(self.dead_letters > 0, format!("{} records are dead letters", self.dead_letters));
        find(totals.unreadable > 0, format!("{} records are not readable", totals.unreadable));
        let open = self.posts_requested.saturating_sub(totals.published.len());
        find(open > 0, format!("{open} posts have no outcome"));
        for account in &self.accounts {
            let expect = self.lost.as_ref().filter(|lost| lost.account == account.id);
            let expect = expect.map_or(0, |lost| lost.amount);
            let (name, status) = (&account.name, &account.status);
            find(status == "unseen", format!("{name}: never reconciled"));
            find(status == "timing", format!("{name}: still moving"));
            find(
                status != "unseen" && account.unexplained != expect,
                format!("{name}: {} is unexplained, {expect} was lost", account.unexplained),
            );
        }
        findings
    }
}

fn accounts(truth: &Truth, totals: &Totals) -> Vec<AccountSummary> {
    let summary = |account: &crate::pipeline::Account| {
        let seen = totals.balances.get(&account.id);
        AccountSummary {
            id: account.id.clone(),
            name: account.name.clone(),
            bank: account.balance,
            ledger: seen.map(|balance| balance.ledger),
            difference: seen.map_or(0, |balance| balance.difference),
            unexplained: seen.map_or(0, |balance| balance.unexplained),
            status: seen.map_or("unseen", |balance| &balance.status).to_owned(),
        }
    };
    truth.accounts.iter().map(summary).collect()
}

#[cfg(test)]
mod tests;
