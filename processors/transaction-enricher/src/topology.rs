//! Which topics and stores are connected to what.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use banks::{Bank, Coalesced, SystemClock, UpClient, UpConfig};
use schemas::{WebhookReceived, topics};
use streams::{AsyncOptions, Effects, Metrics, Source, Topology};

use crate::config::Config;
use crate::memory::Memory;
use crate::numbers::Numbers;
use crate::processor::Enricher;

/// Consumer group, and prefix of the changelogs and the dead letters.
pub const APPLICATION_ID: &str = "transaction-enricher";

/// Events under way at the same time, per task. Six partitions make a hundred requests at once, more
/// than an hourly budget of a thousand can use.
const INQUIRIES_MAX: usize = 16;

/// How often the bank's budget is shown while no event comes: its hour turns by itself.
const SHOW_BUDGET_EVERY: Duration = Duration::from_mins(1);

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
    let (topology, _) = build(config, numbers, |http| {
        let client = UpClient::new(up, http, Arc::new(SystemClock));
        Arc::new(Coalesced::new(client, config.account_read_interval))
    })?;
    Ok(topology)
}

/// The graph, with the bank that `bank` makes of the sub-topology's HTTP client; and its stores, to
/// look into.
pub(crate) fn build(
    config: &Config,
    numbers: Numbers,
    bank: impl FnOnce(reqwest::Client) -> Arc<dyn Bank>,
) -> anyhow::Result<(Topology, Memory)> {
    let mut builder = Topology::builder(APPLICATION_ID);
    let mut sub = builder.sub_topology("enrich", Effects::Read);
    let raw: Source<String, WebhookReceived> = sub.source("webhooks", topics::WEBHOOKS_RECEIVED);
    let memory = Memory {
        events: sub.dedupe_store("seen-events", config.dedupe_window),
        transactions: sub.store("transactions"),
    };
    let transactions = sub.sink("transactions", topics::TRANSACTIONS_ENRICHED);
    let accounts = sub.sink("accounts", topics::ACCOUNTS_OBSERVED);
    let bank = bank(sub.http_client().context("making the HTTP client")?);
    let enricher = Enricher {
        banks: BTreeMap::from([(config.source.clone(), bank)]),
        memory: memory.clone(),
        transactions: transactions.clone(),
        accounts: accounts.clone(),
        numbers,
    };
    let options = AsyncOptions::default().in_flight(INQUIRIES_MAX);
    sub.async_processor("enrich", &raw, move || enricher.clone(), options)
        .stores([memory.events.id(), memory.transactions.id()])
        .sinks([transactions.id(), accounts.id()])
        .punctuate_every(SHOW_BUDGET_EVERY);
    let topology = builder.build().context("building the topology")?;
    Ok((topology, memory))
}
