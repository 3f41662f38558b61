//! Topics as the cluster must have them, settings included: declared ones and those that follow.

use std::collections::BTreeMap;
use std::time::Duration;

use super::TopologyFile;
use super::declaration::{
    AppDeclaration, Cleanup, Profile, Retention, SubTopologyDeclaration, TopicDeclaration,
};
use crate::names::Names;

/// What a record may add to the largest body: key, headers, frame. A topic that takes bodies of
/// `n` bytes needs `max.message.bytes` of at least `n` and this.
pub const RECORD_OVERHEAD_BYTES: i32 = 64 * 1024;

const DAY: Duration = Duration::from_hours(24);
/// A store that was away for less than this can still be brought up to date from its changelog,
/// deletions included (`delete.retention.ms`).
const TOMBSTONE_RETENTION: Duration = DAY.saturating_mul(7);
/// The last day of a changelog or ledger is kept as written, for those who look at what happened.
const COMPACTION_LAG: Duration = DAY;
/// Somebody must have looked at a dead letter within a quarter.
const DEAD_LETTER_RETENTION: Duration = DAY.saturating_mul(90);

/// What a topic is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicKind {
    /// Declared in the file; its values are Avro of the named schema.
    Event {
        /// Name of the schema.
        value: String,
    },
    /// Changelog of a store; values are JSON, or ids where it is a dedupe store.
    Changelog,
    /// Effect ledger; values are JSON.
    Ledger,
    /// Records given up on: original bytes, the reason in headers.
    DeadLetters,
}

/// A topic as it must be on the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSpec {
    /// Name on the cluster, run id included.
    pub name: String,
    /// What it is for.
    pub kind: TopicKind,
    /// App it is internal to; absent for a declared topic.
    pub owner: Option<String>,
    /// Number of partitions.
    pub partitions: i32,
    /// Copies of each partition.
    pub replication: i32,
    /// Settings that differ from the broker's defaults or must not follow them.
    pub configs: BTreeMap<&'static str, String>,
}

impl TopicSpec {
    /// The changelog of a store, or an effect ledger, outside any declaration.
    pub(crate) fn changelog(
        name: String,
        kind: TopicKind,
        app: &str,
        partitions: i32,
        replication: i32,
    ) -> Self {
        let configs = compaction();
        Self { name, kind, owner: Some(app.to_owned()), partitions, replication, configs }
    }

    /// The changelog of a dedupe store.
    pub(crate) fn dedupe_changelog(
        name: String,
        app: &str,
        partitions: i32,
        replication: i32,
        window: Duration,
    ) -> Self {
        let configs = forgetting(window);
        let kind = TopicKind::Changelog;
        Self { name, kind, owner: Some(app.to_owned()), partitions, replication, configs }
    }

    /// Dead letters outside any declaration.
    pub(crate) fn dead_letters(name: String, app: &str, partitions: i32, replication: i32) -> Self {
        let configs = BTreeMap::from([
            ("cleanup.policy", Cleanup::Delete.as_str().to_owned()),
            ("retention.ms", millis(DEAD_LETTER_RETENTION)),
        ]);
        let kind = TopicKind::DeadLetters;
        Self { name, kind, owner: Some(app.to_owned()), partitions, replication, configs }
    }
}

fn compaction() -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("cleanup.policy", Cleanup::Compact.as_str().to_owned()),
        ("min.compaction.lag.ms", millis(COMPACTION_LAG)),
        ("delete.retention.ms", millis(TOMBSTONE_RETENTION)),
    ])
}

/// Ids are forgotten by their store after the window; a bucket is an eighth of it, and a day more
/// covers clocks and late records.
fn forgetting(window: Duration) -> BTreeMap<&'static str, String> {
    let kept = window.saturating_add(window / 4).saturating_add(DAY);
    BTreeMap::from([
        ("cleanup.policy", Cleanup::Delete.as_str().to_owned()),
        ("retention.ms", millis(kept)),
    ])
}

impl TopologyFile {
    /// Every topic that must be there under `profile`, sorted by name.
    pub fn topics_for(&self, profile: &Profile) -> Vec<TopicSpec> {
        let live = Names::default();
        let declared = self.topics.iter().map(|(name, topic)| event(name.clone(), topic, profile));
        let internal = self.apps.values().flat_map(|app| self.internal(app, profile, &live));
        by_name(declared.chain(internal))
    }

    /// Every topic that the run `run_id` of `app` writes, sorted by name: the app's outputs and its
    /// internal topics, each under the run's own name.
    pub fn topics_of_run(
        &self,
        app: &AppDeclaration,
        profile: &Profile,
        run_id: &str,
    ) -> Vec<TopicSpec> {
        let names = Names::new(Some(run_id.to_owned()), Vec::new());
        let writes = app.all_writes();
        let outputs = writes
            .iter()
            .filter_map(|name| Some(event(names.written(name), self.topics.get(*name)?, profile)));
        by_name(outputs.chain(self.internal(app, profile, &names)))
    }

    /// Partitions of the sub-topology's tasks: those of its sources.
    fn partitions(&self, sub: &SubTopologyDeclaration) -> i32 {
        let counts = sub.reads.iter().filter_map(|topic| self.topics.get(topic));
        counts.map(|topic| topic.partitions).max().unwrap_or(1)
    }

    fn internal(&self, app: &AppDeclaration, profile: &Profile, names: &Names) -> Vec<TopicSpec> {
        let mut topics = Vec::new();
        for sub in app.sub_topologies.values() {
            let partitions = self.partitions(sub);
            for store in &sub.stores {
                let name = names.written(&changelog_of(&app.id, store));
                let configs = compaction();
                topics.push(internal(
                    name,
                    TopicKind::Changelog,
                    app,
                    partitions,
                    profile,
                    configs,
                ));
            }
            for (store, window) in &sub.dedupe_stores {
                let name = names.written(&changelog_of(&app.id, store));
                let configs = forgetting(*window);
                topics.push(internal(
                    name,
                    TopicKind::Changelog,
                    app,
                    partitions,
                    profile,
                    configs,
                ));
            }
            if let Some(ledger) = &sub.ledger {
                let name = names.written(&ledger_of(&app.id, ledger));
                let configs = compaction();
                topics.push(internal(name, TopicKind::Ledger, app, partitions, profile, configs));
            }
        }
        if app.dead_letters.is_some() {
            // as many as the widest source, so that a record can keep its partition
            let partitions = app.sub_topologies.values().map(|sub| self.partitions(sub)).max();
            topics.push(dead_letters(app, partitions.unwrap_or(1), profile, names));
        }
        topics
    }
}

fn changelog_of(app: &str, store: &str) -> String {
    format!("{app}-{store}-changelog")
}

fn ledger_of(app: &str, ledger: &str) -> String {
    format!("{app}-{ledger}")
}

/// Name of the dead letters of `app`.
pub(super) fn dead_letters_of(app: &str) -> String {
    format!("{app}-dlq")
}

fn by_name(topics: impl Iterator<Item = TopicSpec>) -> Vec<TopicSpec> {
    let mut topics: Vec<TopicSpec> = topics.collect();
    topics.sort_by(|one, other| one.name.cmp(&other.name));
    topics
}

/// Names of the topics that belong to `app` alone.
pub(super) fn internal_names(app: &AppDeclaration) -> Vec<String> {
    let subs = || app.sub_topologies.values();
    let stores = subs().flat_map(SubTopologyDeclaration::store_names);
    let ledgers = subs().filter_map(|sub| sub.ledger.as_ref());
    stores
        .map(|store| changelog_of(&app.id, store))
        .chain(ledgers.map(|ledger| ledger_of(&app.id, ledger)))
        .chain(app.dead_letters.clone())
        .collect()
}

fn millis(span: Duration) -> String {
    span.as_millis().to_string()
}

fn base(profile: &Profile, message_bytes: i32) -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("min.insync.replicas", profile.min_insync_replicas.to_string()),
        ("max.message.bytes", message_bytes.to_string()),
    ])
}

fn event(name: String, topic: &TopicDeclaration, profile: &Profile) -> TopicSpec {
    let mut configs = base(profile, profile.max_message_bytes);
    configs.insert("cleanup.policy", topic.cleanup.as_str().to_owned());
    if topic.cleanup == Cleanup::Delete {
        let retention = match topic.retention {
            Retention::Forever => "-1".to_owned(),
            Retention::For(span) => millis(span),
        };
        configs.insert("retention.ms", retention);
    }
    TopicSpec {
        name,
        kind: TopicKind::Event { value: topic.value.clone() },
        owner: None,
        partitions: topic.partitions,
        replication: profile.replication,
        configs,
    }
}

fn internal(
    name: String,
    kind: TopicKind,
    app: &AppDeclaration,
    partitions: i32,
    profile: &Profile,
    cleanup: BTreeMap<&'static str, String>,
) -> TopicSpec {
    let mut configs = base(profile, profile.max_message_bytes);
    configs.extend(cleanup);
    let replication = profile.replication;
    TopicSpec { name, kind, owner: Some(app.id.clone()), partitions, replication, configs }
}

fn dead_letters(
    app: &AppDeclaration,
    partitions: i32,
    profile: &Profile,
    names: &Names,
) -> TopicSpec {
    // the largest record fits with the headers that say why it is here
    let message_bytes = profile.max_message_bytes.saturating_add(RECORD_OVERHEAD_BYTES);
    let mut configs = base(profile, message_bytes);
    configs.insert("cleanup.policy", Cleanup::Delete.as_str().to_owned());
    configs.insert("retention.ms", millis(DEAD_LETTER_RETENTION));
    TopicSpec {
        name: names.written(&dead_letters_of(&app.id)),
        kind: TopicKind::DeadLetters,
        owner: Some(app.id.clone()),
        partitions,
        replication: profile.replication,
        configs,
    }
}
