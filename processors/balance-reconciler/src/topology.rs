//! Which topics and stores are connected to what?

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use banks::{Bank, SystemClock, UpClient, UpConfig};
use schemas::{AccountObserved, TransactionEnriched, topics};
use streams::{AsyncOptions, Effects, Metrics, Source, Store, Topology};

use crate::config::Config;
use crate::ledger::{Ledger, Row};
use crate::numbers::Numbers;
use crate::processor::{Desk, Reconciler};

/// Consumer group, and prefix of the changelog and the dead letters.
pub const APPLICATION_ID: &str = "balance-reconciler";

/// How often the clock looks at accounts that wait for the quiet period.
const JUDGE_EVERY: Duration = Duration::from_secs(1);

/// The graph, with Up as the bank; its numbers appear beside those of the runtime.
pub fn topology(config: &Config, metrics: &Metrics) -> anyhow::Result<Topology> {
    let numbers = Numbers::new().context("making the counters")?;
    numbers.register(metrics.registry()).context("registering the counters")?;
    with_up(config, config.up.config()?, numbers)
}

/// The graph to look at: the same, but it needs no token, since nobody will be asked.
pub fn outline(config: &Config) -> anyhow::Result<Topology> {
    with_up(config, config.up.outline()?, Numbers::new().context("making the counters")?)
}

fn with_up(config: &Config, up: UpConfig, numbers: Numbers) -> anyhow::Result<Topology> {
    build(config, numbers, |http| Arc::new(UpClient::new(up, http, Arc::new(SystemClock))))
}

/// The graph, with the bank that `bank` makes of the sub-topology's HTTP client.
pub(crate) fn build(
    config: &Config,
    numbers: Numbers,
    bank: impl FnOnce(reqwest::Client) -> Arc<dyn Bank>,
) -> anyhow::Result<Topology> {
    let mut builder = Topology::builder(APPLICATION_ID);
    let mut sub = builder.sub_topology("reconcile", Effects::Read);
    let transactions: Source<String, TransactionEnriched> =
        sub.source("transactions", topics::TRANSACTIONS_ENRICHED);
    let balances: Source<String, AccountObserved> =
        sub.source("balances", topics::ACCOUNTS_OBSERVED);
    let store: Store<String, Row> = sub.store("ledger");
    let statements = sub.sink("statements", topics::BALANCES_RECONCILED);
    let (store_id, sink_id) = (store.id(), statements.id());
    let desk = Desk {
        ledger: Ledger::new(store),
        statements,
        bank: bank(sub.http_client().context("making the HTTP client")?),
        source: config.source.clone(),
        quiet_period: config.quiet_period,
        numbers,
    };
    let options = AsyncOptions::default();
    let books = desk.clone();
    let book = move || Reconciler::<TransactionEnriched>::new(books.clone());
    sub.async_processor("book", &transactions, book, options)
        .stores([store_id])
        .sinks([sink_id])
        .punctuate_every(JUDGE_EVERY);
    let compare = move || Reconciler::<AccountObserved>::new(desk.clone());
    sub.async_processor("compare", &balances, compare, options).stores([store_id]).sinks([sink_id]);
    builder.build().context("building the topology")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_graph_is_the_one_that_topology_toml_declares() {
        let config = Config::of_a_test();
        let outline = outline(&config).expect("needs no token");
        insta::assert_snapshot!(outline.describe(), @r"
        application balance-reconciler
        sub-topology reconcile (effects: read)
          source transactions (topic: bank.transactions.enriched.v1)
            --> book
          source balances (topic: bank.accounts.observed.v1)
            --> compare
          processor book (in key order, at most 64 calls in flight)
            <-> ledger
            --> statements
            punctuated every 1s
          processor compare (in key order, at most 64 calls in flight)
            <-> ledger
            --> statements
          store ledger (topic: balance-reconciler-ledger-changelog)
          sink statements (topic: bank.balances.reconciled.v1)
        ");
    }
}
