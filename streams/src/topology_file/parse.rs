//! From text to declarations.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use toml::de::DeTable;

use super::TopologyFile;
use super::declaration::{
    AppDeclaration, Cleanup, Guarantee, Profile, Retention, SubTopologyDeclaration,
    TopicDeclaration,
};
use super::finding::Findings;
use super::section::{Notes, Section};
use super::span::parse_duration;
use crate::topology::Effects;

/// More partitions than this is a slip of the finger: each costs open files and start-up time.
const PARTITIONS_MAX: i32 = 1_000;
/// More copies than this no cluster has.
const REPLICATION_MAX: i32 = 15;
/// Largest batch a profile may allow, 100 MiB: each broker and consumer must hold one in memory.
const MESSAGE_BYTES_MAX: i32 = 100 * 1024 * 1024;
/// Shortest memory of a dedupe store: less is no longer than the retries it is there for.
const DEDUPE_WINDOW_MIN: Duration = Duration::from_mins(1);
/// Longest: ids are kept in memory, some 20 bytes each.
const DEDUPE_WINDOW_MAX: Duration = Duration::from_hours(24 * 366);
/// Longest name of a topic Kafka takes.
const TOPIC_NAME_BYTES_MAX: usize = 249;
/// Room left in a topic's name for what is derived from it: `-changelog` and a run id.
const DERIVED_BYTES: usize = 76;

const SPAN: &str = "a span such as \"100ms\", \"10s\" or \"5m\"";

/// What can be read of the file (nothing when it is not TOML), and what is wrong with it.
pub(super) fn file(path: &Path, text: &str) -> (Option<TopologyFile>, Findings) {
    let notes = Notes::new(path, text);
    let table = match DeTable::parse(text) {
        Ok(table) => table,
        Err(error) => {
            let message = format!("not TOML: {}", error.message());
            notes.error(error.span().map(|span| span.start), "", message);
            return (None, notes.into_parts().0);
        }
    };
    let mut root = Section::root(&notes, table.get_ref());
    let topics = entries(root.tables("topics"), topic);
    root.skip("sources");
    let apps = entries(root.tables("apps"), |id, section| Some(app(id, section)));
    let profiles = entries(root.tables("profiles"), profile);
    root.require("topics", "a table of topics");
    root.require("profiles", "a table of profiles, such as [profiles.testing]");
    let sources = sources(&root, text);
    root.finish();
    let (findings, lines) = notes.into_parts();
    let file = TopologyFile { path: path.to_owned(), topics, sources, apps, profiles, lines };
    (Some(file), findings)
}

fn entries<'a, T>(
    sections: Vec<(String, Section<'a>)>,
    read: fn(&str, &mut Section<'a>) -> Option<T>,
) -> BTreeMap<String, T> {
    // an entry that cannot be read is left out: what refers to it still finds its key's line
    let entry = |(name, mut section): (String, Section<'a>)| {
        let value = read(&name, &mut section);
        section.finish();
        value.map(|value| (name, value))
    };
    sections.into_iter().filter_map(entry).collect()
}

/// The sources as plain tables: the text is TOML by now, so only their being tables is left to check.
fn sources(root: &Section<'_>, text: &str) -> toml::Table {
    let mut whole = text.parse::<toml::Table>().unwrap_or_default();
    match whole.remove("sources") {
        Some(toml::Value::Table(sources)) => sources,
        Some(_) => {
            root.error_at("sources", "expected tables".to_owned());
            toml::Table::new()
        }
        None => toml::Table::new(),
    }
}

fn topic(name: &str, section: &mut Section<'_>) -> Option<TopicDeclaration> {
    if !is_topic_name(name) {
        section.error(format!(
            "expected a topic name of lower-case letters, digits, dots and hyphens, at most {} long \
             (dot and underscore collide in Kafka's metric names)",
            TOPIC_NAME_BYTES_MAX - DERIVED_BYTES
        ));
    }
    let partitions = section.number("partitions", PARTITIONS_MAX);
    let cleanup = section.string("cleanup", "\"delete\" or \"compact\"", |text| match text {
        "delete" => Some(Cleanup::Delete),
        "compact" => Some(Cleanup::Compact),
        _ => None,
    });
    let cleanup = cleanup.unwrap_or(Cleanup::Delete);
    let expected = "\"forever\" or a span such as \"30d\"";
    if cleanup == Cleanup::Delete {
        section.require("retention", expected);
    }
    let retention = section.string("retention", expected, |text| match text {
        "forever" => Some(Retention::Forever),
        span => parse_duration(span).map(Retention::For),
    });
    if cleanup == Cleanup::Compact && matches!(retention, Some(Retention::For(_))) {
        section.error_at("retention", "a compacted topic keeps its keys \"forever\"".to_owned());
    }
    let key = text(section, "key", "what the key is, in words");
    let value = text(section, "value", "the name of a schema, such as \"bank.AccountObserved\"");
    let retention = match cleanup {
        Cleanup::Delete => retention?,
        Cleanup::Compact => Retention::Forever,
    };
    Some(TopicDeclaration { partitions: partitions?, retention, cleanup, key: key?, value: value? })
}

fn is_topic_name(name: &str) -> bool {
    let letters =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
    name.bytes().all(letters)
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.len() <= TOPIC_NAME_BYTES_MAX - DERIVED_BYTES
}

fn is_plain_name(name: &str) -> bool {
    is_topic_name(name) && !name.contains('.')
}

const PLAIN_NAME: &str = "a name of lower-case letters, digits and hyphens";

fn text(section: &mut Section<'_>, key: &'static str, expected: &str) -> Option<String> {
    section.require(key, expected);
    section.string(key, expected, |text| (!text.is_empty()).then(|| text.to_owned()))
}

fn app(id: &str, section: &mut Section<'_>) -> AppDeclaration {
    if !is_plain_name(id) {
        section.error(format!("expected {PLAIN_NAME}"));
    }
    let sub_topologies = entries(section.tables("sub_topologies"), sub_topology);
    let writes = section.strings("writes");
    let guarantee =
        section.string("guarantee", "\"at_least_once\" or \"exactly_once\"", |text| match text {
            "at_least_once" => Some(Guarantee::AtLeastOnce),
            "exactly_once" => Some(Guarantee::ExactlyOnce),
            _ => None,
        });
    let dead_letters = section.string("dead_letters", "the name of a topic", |text| {
        (!text.is_empty()).then(|| text.to_owned())
    });
    if sub_topologies.is_empty() {
        section.require("writes", "the topics it writes, or sub_topologies that read some");
    } else {
        section.require("guarantee", "\"at_least_once\" or \"exactly_once\"");
        section.require("dead_letters", &format!("\"{id}-dlq\""));
    }
    AppDeclaration { id: id.to_owned(), guarantee, dead_letters, writes, sub_topologies }
}

fn sub_topology(name: &str, section: &mut Section<'_>) -> Option<SubTopologyDeclaration> {
    if !is_sub_topology_name(name) {
        section.error(format!("expected {PLAIN_NAME} (or underscores)"));
    }
    let reads = section.some_strings("reads", "a list of the topics it reads");
    let writes = section.strings("writes");
    let stores = section.strings("stores");
    let dedupe_stores = dedupe_stores(section);
    let ledger =
        section.string("ledger", PLAIN_NAME, |text| is_plain_name(text).then(|| text.to_owned()));
    let expected = "\"none\", \"read\", \"write\" or \"publish\"";
    section.require("effects", expected);
    let effects = section.string("effects", expected, |text| match text {
        "none" => Some(Effects::None),
        "read" => Some(Effects::Read),
        "write" => Some(Effects::Write),
        "publish" => Some(Effects::Publish),
        _ => None,
    });
    for store in stores.iter().filter(|store| !is_plain_name(store)) {
        section.error_at("stores", format!("expected {PLAIN_NAME}, found \"{store}\""));
    }
    Some(SubTopologyDeclaration { reads, writes, stores, dedupe_stores, ledger, effects: effects? })
}

/// `dedupe_stores = { seen = "30d" }`: how long each remembers an id.
fn dedupe_stores(section: &mut Section<'_>) -> BTreeMap<String, Duration> {
    let key = "dedupe_stores";
    let window = |text: &str| {
        let bounds = DEDUPE_WINDOW_MIN..=DEDUPE_WINDOW_MAX;
        parse_duration(text).filter(|window| bounds.contains(window))
    };
    let stores = section.named_strings(key, "a span from \"1m\" to \"366d\"", window);
    for store in stores.keys().filter(|store| !is_plain_name(store)) {
        section.error_at(key, format!("expected {PLAIN_NAME}, found \"{store}\""));
    }
    stores
}

fn is_sub_topology_name(name: &str) -> bool {
    is_plain_name(&name.replace('_', "-"))
}

fn profile(_: &str, section: &mut Section<'_>) -> Option<Profile> {
    let replication = section.number("replication", REPLICATION_MAX);
    let min_insync_replicas = section.number("min_insync_replicas", REPLICATION_MAX);
    let max_message_bytes = section.number("max_message_bytes", MESSAGE_BYTES_MAX);
    section.require("commit_interval", SPAN);
    let commit_interval = section.string("commit_interval", SPAN, parse_duration);
    section.require("session_timeout", SPAN);
    let session_timeout = section.string("session_timeout", SPAN, parse_duration);
    let profile = Profile {
        replication: replication?,
        min_insync_replicas: min_insync_replicas?,
        max_message_bytes: max_message_bytes?,
        commit_interval: commit_interval?,
        session_timeout: session_timeout?,
    };
    if profile.min_insync_replicas > profile.replication {
        section.error_at(
            "min_insync_replicas",
            format!(
                "expected at most the replication of {}, found {}: nothing could be written",
                profile.replication, profile.min_insync_replicas
            ),
        );
    }
    Some(profile)
}
