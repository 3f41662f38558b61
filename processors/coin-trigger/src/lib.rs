#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod config;
mod decision;
mod hook;
mod jar;
mod rules;
mod trigger;

use std::sync::Arc;

use anyhow::Context as _;
use schemas::{CoinTrigger, TransactionEnriched, topics};
use streams::{AsyncOptions, Effects, Sink, Source, Store, SystemClock, Topology};

pub use config::{Config, HookError, HookTarget, Redacted};
pub use decision::{Counted, DecisionError, Seen};
pub use hook::{CallError, Hook, HookAnswer, KEY_HEADER, SIGNATURE_HEADER};
pub use rules::{Rule, RulesError};
pub use trigger::{Decide, Entry, TriggerError};

/// Name of the consumer group and prefix of the internal topics.
pub const APPLICATION_ID: &str = "coin-trigger";

/// Hook calls on their way at the same time, per partition: each of them is made twice after a crash.
const CALLS_IN_FLIGHT_MAX: usize = 16;

/// Reads the rules and builds the graph; `hook` is part of it when a hook is configured.
pub fn topology(config: &Config) -> anyhow::Result<Topology> {
    let rules: Arc<[Rule]> = rules::load(&config.rules).context("reading the rules")?.into();
    let mut builder = Topology::builder(APPLICATION_ID);

    let mut sub = builder.sub_topology("decide", Effects::None);
    let transactions: Source<String, TransactionEnriched> =
        sub.source("transactions", topics::TRANSACTIONS_ENRICHED);
    let triggers: Store<String, Entry> = sub.store("triggers");
    let fired: Sink<String, CoinTrigger> = sub.sink("fired", topics::TRIGGERS_FIRED);
    let (store, sink) = (triggers.id(), fired.id());
    let decide = Decide { rules, triggers, fired };
    sub.processor("trigger", &transactions, move || decide.clone()).stores([store]).sinks([sink]);

    if let Some(target) = config.hook().context("configuring the hook")? {
        let mut sub = builder.sub_topology("hook", Effects::Write);
        let fired: Source<String, CoinTrigger> = sub.source("fired", topics::TRIGGERS_FIRED);
        let hook = Hook::new(sub.http_client()?, target, Arc::new(SystemClock));
        let options = AsyncOptions::default().in_flight(CALLS_IN_FLIGHT_MAX);
        sub.effect("call", &fired, "effects", move || hook.clone(), options);
    }
    builder.build().context("building the topology")
}

#[cfg(test)]
mod tests;
