//! Topics an application makes for itself where nobody has declared them.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    admin::{Admin, AdminError, TopicState},
    names::Names,
    topology::{StoreKind, Topology},
    topology_file::{TopicKind, TopicSpec},
};

/// How often the cluster is asked whether new topics are there, and how long between: a new topic is
/// known to every broker within moments.
const LOOKS_MAX: u32 = 50;
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Makes the internal topics that are missing and waits until the cluster shows them.
pub(super) async fn create(
    admin: &Admin,
    topology: &Topology,
    names: &Names,
    replication: i32,
) -> Result<BTreeMap<String, TopicState>, AdminError> {
    let mut there = admin.topics().await?;
    let wanted = wanted(topology, names, &there, replication);
    let missing: Vec<_> =
        wanted.into_iter().filter(|topic| !there.contains_key(&topic.name)).collect();
    for topic in &missing {
        admin.create(topic).await?;
        tracing::info!(topic = topic.name, partitions = topic.partitions, "internal topic made");
    }
    for _ in 0..LOOKS_MAX {
        if missing.iter().all(|topic| there.contains_key(&topic.name)) {
            break;
        }
        tokio::time::sleep(LOOK_EVERY).await;
        there = admin.topics().await?;
    }
    Ok(there)
}

fn wanted(
    topology: &Topology,
    names: &Names,
    there: &BTreeMap<String, TopicState>,
    replication: i32,
) -> Vec<TopicSpec> {
    let app = topology.application_id();
    let mut wanted = Vec::new();
    let mut widest = 1;
    for sub in &topology.subs {
        let sources = sub.sources.iter().filter_map(|source| there.get(&names.read(&source.topic)));
        let partitions = sources.map(|topic| topic.partitions).max().unwrap_or(1);
        widest = widest.max(partitions);
        for store in &sub.stores {
            let name = names.written(&store.topic(app));
            wanted.push(match store.kind {
                StoreKind::State => {
                    TopicSpec::changelog(name, TopicKind::Changelog, app, partitions, replication)
                }
                StoreKind::Ledger => {
                    TopicSpec::changelog(name, TopicKind::Ledger, app, partitions, replication)
                }
                StoreKind::Seen { window } => {
                    TopicSpec::dedupe_changelog(name, app, partitions, replication, window)
                }
            });
        }
    }
    let name = names.written(&topology.dead_letter_topic());
    wanted.push(TopicSpec::dead_letters(name, app, widest, replication));
    wanted
}
