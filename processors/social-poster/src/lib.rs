#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod config;
mod decision;
mod foreign_text;
mod money;
mod networks;
mod publish;
mod request;
mod rules;
mod template;

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use schemas::{PostPublished, PostRequested, TransactionEnriched, topics};
use streams::{AsyncOptions, Effects, Sink, Source, Store, Topology, topology::Builder};

pub use config::{Config, MastodonAccount, MastodonError, Token};
pub use decision::{DecisionError, Seen};
pub use networks::{Answer, DryRun, Mastodon, Network, Networks, PublishError, Publishing};
pub use publish::Publish;
pub use request::{Decide, RequestError};
pub use rules::{AmountStyle, NetworkName, Rule, RulesError, Visibility};
pub use template::{Template, TemplateError, Variable};

/// Name of the consumer group and prefix of the internal topics.
pub const APPLICATION_ID: &str = "social-poster";

/// Posts on their way at the same time, per partition: servers take a few hundred in hours, and each
/// of them is asked for twice after a crash.
const POSTS_IN_FLIGHT_MAX: usize = 4;

/// Reads the rules, checks that every network they name is configured, and builds the graph.
pub fn topology(config: &Config) -> anyhow::Result<Topology> {
    let rules: Arc<[Rule]> = rules::load(&config.rules).context("reading the rules")?.into();
    let mastodon = config.mastodon().context("configuring Mastodon")?;
    let mut builder = Topology::builder(APPLICATION_ID);
    decide(&mut builder, Arc::clone(&rules));
    let networks = publish(&mut builder, mastodon)?;
    for rule in rules.iter() {
        ensure!(
            networks.has(rule.network),
            "rule `{}` posts to {}: set MASTODON_URL and MASTODON_TOKEN, or make it a dry-run",
            rule.name,
            rule.network.as_str()
        );
    }
    builder.build().context("building the topology")
}

fn decide(builder: &mut Builder, rules: Arc<[Rule]>) {
    let mut sub = builder.sub_topology("decide", Effects::None);
    let transactions: Source<String, TransactionEnriched> =
        sub.source("transactions", topics::TRANSACTIONS_ENRICHED);
    let posts: Store<String, Seen> = sub.store("posts");
    let requested: Sink<String, PostRequested> = sub.sink("requested", topics::POSTS_REQUESTED);
    let (store, sink) = (posts.id(), requested.id());
    let decide = Decide { rules, posts, requested };
    sub.processor("request", &transactions, move || decide.clone()).stores([store]).sinks([sink]);
}

fn publish(builder: &mut Builder, mastodon: Option<MastodonAccount>) -> anyhow::Result<Networks> {
    let mut sub = builder.sub_topology("publish", Effects::Publish);
    let mut networks: Vec<Arc<dyn Network>> = vec![Arc::new(DryRun)];
    if let Some(account) = mastodon {
        networks.push(Arc::new(Mastodon::new(sub.http_client()?, account)));
    }
    let networks = Networks::new(networks);
    let requested: Source<String, PostRequested> = sub.source("requested", topics::POSTS_REQUESTED);
    let published: Sink<String, PostPublished> = sub.sink("published", topics::POSTS_PUBLISHED);
    let sink = published.id();
    let publish = Publish { networks: networks.clone(), published };
    let options = AsyncOptions::default().in_flight(POSTS_IN_FLIGHT_MAX);
    sub.effect("publish", &requested, "effects", move || publish.clone(), options).sinks([sink]);
    Ok(networks)
}

#[cfg(test)]
mod tests;
