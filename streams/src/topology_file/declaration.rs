//! What the file can say, once it is known to be well formed.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::topology::Effects;

/// A topic that an app writes for others to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicDeclaration {
    /// Number of partitions. A keyed topic never grows in place.
    pub partitions: i32,
    /// How long records are kept.
    pub retention: Retention,
    /// What the broker does with old records.
    pub cleanup: Cleanup,
    /// What the key is, in words: what orders the records.
    pub key: String,
    /// Full name of the Avro record (or of the file, for a union): `schemas/avro/<value>.avsc`.
    pub value: String,
}

/// How long a topic keeps its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// Never deleted by age.
    Forever,
    /// Deleted at this age.
    For(Duration),
}

/// What the broker does with old records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cleanup {
    /// Deletes them by age.
    Delete,
    /// Keeps the newest of each key.
    Compact,
}

impl Cleanup {
    /// The value of `cleanup.policy`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::Compact => "compact",
        }
    }
}

/// What a commit promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guarantee {
    /// Offsets are committed after everything they caused is acknowledged; a crash repeats.
    AtLeastOnce,
    /// Outputs, changelogs and offsets in one transaction.
    ExactlyOnce,
}

impl Guarantee {
    /// What a part with these effects is promised when its app asks for `self`. A part that changes
    /// the world runs at least once behind its effect ledger: a call made inside a transaction cannot
    /// be taken back with it.
    #[must_use]
    pub fn with(self, effects: Effects) -> Self {
        if effects >= Effects::Write { Self::AtLeastOnce } else { self }
    }

    /// The name the file uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AtLeastOnce => "at_least_once",
            Self::ExactlyOnce => "exactly_once",
        }
    }
}

/// One application id, which is one consumer group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppDeclaration {
    /// Application id: group, changelog prefix, prefix of internal topics.
    pub id: String,
    /// What a commit promises; absent for an app that reads no topic.
    pub guarantee: Option<Guarantee>,
    /// Topic for records it gave up on; absent for an app that reads no topic.
    pub dead_letters: Option<String>,
    /// Topics written outside of any sub-topology (by an app that reads none, as the ingress).
    pub writes: Vec<String>,
    /// Its sub-topologies by name.
    pub sub_topologies: BTreeMap<String, SubTopologyDeclaration>,
}

impl AppDeclaration {
    /// Every declared topic the app reads, each once, sorted.
    pub fn reads(&self) -> Vec<&str> {
        sorted(self.sub_topologies.values().flat_map(|sub| &sub.reads))
    }

    /// Every declared topic the app writes, each once, sorted.
    pub fn all_writes(&self) -> Vec<&str> {
        sorted(self.writes.iter().chain(self.sub_topologies.values().flat_map(|sub| &sub.writes)))
    }
}

fn sorted<'a>(names: impl Iterator<Item = &'a String>) -> Vec<&'a str> {
    let mut names: Vec<&str> = names.map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// A part of an app whose partitions are processed together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubTopologyDeclaration {
    /// Topics read; they have equal partition counts.
    pub reads: Vec<String>,
    /// Topics written.
    pub writes: Vec<String>,
    /// Key-value stores, each with a changelog `<app>-<store>-changelog`.
    pub stores: Vec<String>,
    /// Stores of ids that were seen, and how long each remembers one; their changelogs are named
    /// alike and deleted by age.
    pub dedupe_stores: BTreeMap<String, Duration>,
    /// Effect ledger, the topic `<app>-<ledger>`; there exactly when `effects` is write or publish.
    pub ledger: Option<String>,
    /// What it may do to the world.
    pub effects: Effects,
}

impl SubTopologyDeclaration {
    /// The names of all its stores, of both kinds.
    pub fn store_names(&self) -> impl Iterator<Item = &String> {
        self.stores.iter().chain(self.dedupe_stores.keys())
    }
}

/// What differs between testing and production.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Copies of each partition.
    pub replication: i32,
    /// Copies that must have a record before it is acknowledged.
    pub min_insync_replicas: i32,
    /// Largest record batch a topic takes, in bytes.
    pub max_message_bytes: i32,
    /// How often offsets are committed.
    pub commit_interval: Duration,
    /// After which silence a group gives an instance's partitions to others.
    pub session_timeout: Duration,
}
