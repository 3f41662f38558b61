//! Topics an application makes for itself where nobody has declared them.

use std::collections::BTreeMap;

use super::app::{LOOK_EVERY, LOOKS_MAX};
use crate::{
    admin::{Admin, AdminError, TopicState},
    names::Names,
    topology::{StoreKind, Topology},
    topology_file::{TopicKind, TopicSpec},
};

/// Makes the internal topics that are missing. The check that follows waits until the cluster shows
/// them.
///
/// They get as many partitions as the inputs they belong to. An input that was made a moment ago may not
/// be on this broker's list yet, and is waited for; for one that is not there nothing is made, and
/// the check says which it is.
pub(super) async fn create(
    admin: &Admin,
    topology: &Topology,
    names: &Names,
    replication: i32,
) -> Result<(), AdminError> {
    let mut there = admin.topics().await?;
    for _ in 0..LOOKS_MAX {
        if has_inputs(topology, names, &there) {
            break;
        }
        tokio::time::sleep(LOOK_EVERY).await;
        there = admin.topics().await?;
    }
    if !has_inputs(topology, names, &there) {
        return Ok(());
    }
    for topic in wanted(topology, names, &there, replication) {
        if !there.contains_key(&topic.name) {
            admin.create(&topic).await?;
            tracing::info!(
                topic = topic.name,
                partitions = topic.partitions,
                "internal topic made"
            );
        }
    }
    Ok(())
}

fn has_inputs(topology: &Topology, names: &Names, there: &BTreeMap<String, TopicState>) -> bool {
    let mut sources = topology.subs.iter().flat_map(|sub| &sub.sources);
    sources.all(|source| there.contains_key(&names.read(&source.topic)))
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
