//! Whether the names in the file refer to each other as they should.

use std::collections::BTreeMap;

use super::TopologyFile;
use super::declaration::{AppDeclaration, SubTopologyDeclaration};
use super::derived::{dead_letters_of, internal_names};
use super::finding::{Finding, Findings, Severity};
use super::nearest;
use super::section::path_of;
use crate::topology::Effects;

/// Everything that must be mended.
pub(super) fn errors(file: &TopologyFile) -> Findings {
    let mut found = Findings::default();
    for app in file.apps.values() {
        let path = path_of("apps", &app.id);
        found.extend(dangling(file, &format!("{path}.writes"), &app.writes));
        found.extend(dead_letters(file, app, &path));
        found.extend(shared_stores(file, app, &path));
        for (name, sub) in &app.sub_topologies {
            let path = path_of(&format!("{path}.sub_topologies"), name);
            found.extend(dangling(file, &format!("{path}.reads"), &sub.reads));
            found.extend(dangling(file, &format!("{path}.writes"), &sub.writes));
            found.extend(co_partitioning(file, sub, &path));
            found.extend(ledger(file, sub, &path));
        }
    }
    found.extend(internal_collisions(file));
    found
}

/// What is odd but may be meant.
pub(super) fn warnings(file: &TopologyFile) -> Findings {
    let mut found = Findings::default();
    for topic in file.topics.keys() {
        let apps = || file.apps.values();
        let writers: Vec<&str> = apps()
            .filter(|app| app.all_writes().contains(&topic.as_str()))
            .map(|app| app.id.as_str())
            .collect();
        let is_read = apps().any(|app| app.reads().contains(&topic.as_str()));
        let message = match (writers.as_slice(), is_read) {
            ([], false) => "no app reads or writes it".to_owned(),
            ([], true) => "no app writes it".to_owned(),
            ([_], _) => continue,
            (several, _) => {
                format!("{} write it: who owns its schema and its order?", several.join(" and "))
            }
        };
        found.push(file.finding(Severity::Warning, &path_of("topics", topic), message));
    }
    found.sort();
    found
}

fn error(file: &TopologyFile, key: &str, message: String) -> Finding {
    file.finding(Severity::Error, key, message)
}

fn dangling(file: &TopologyFile, key: &str, topics: &[String]) -> Vec<Finding> {
    // by its line, so that a topic declared wrongly is not called undeclared on top
    let declared = |topic: &str| file.lines.contains_key(&path_of("topics", topic));
    let unknown = topics.iter().enumerate().filter(|(_, topic)| !declared(topic));
    unknown
        .map(|(index, topic)| {
            let near = nearest::hint(nearest::name(topic, file.topics.keys()));
            let message = format!("topic `{topic}` is not declared{near}");
            error(file, &format!("{key}[{index}]"), message)
        })
        .collect()
}

fn dead_letters(file: &TopologyFile, app: &AppDeclaration, path: &str) -> Option<Finding> {
    let expected = dead_letters_of(&app.id);
    let found = app.dead_letters.as_ref()?;
    let key = format!("{path}.dead_letters");
    (*found != expected)
        .then(|| error(file, &key, format!("expected \"{expected}\", found \"{found}\"")))
}

fn shared_stores(file: &TopologyFile, app: &AppDeclaration, path: &str) -> Vec<Finding> {
    let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
    let mut found = Vec::new();
    for (name, sub) in &app.sub_topologies {
        let stores = sub.stores.iter().map(|store| ("stores", store));
        let dedupe = sub.dedupe_stores.keys().map(|store| ("dedupe_stores", store));
        let ledger = sub.ledger.iter().map(|ledger| ("ledger", ledger));
        for (key, store) in stores.chain(dedupe).chain(ledger) {
            if let Some(owner) = owners.insert(store, name) {
                let key = format!("{}.{key}", path_of(&format!("{path}.sub_topologies"), name));
                let message = format!(
                    "`{store}` is a store or ledger of `{owner}` already; each needs its own name"
                );
                found.push(error(file, &key, message));
            }
        }
    }
    found
}

/// Partition `n` of every source is one task: the sources need as many partitions as each other.
fn co_partitioning(
    file: &TopologyFile,
    sub: &SubTopologyDeclaration,
    path: &str,
) -> Option<Finding> {
    let counts: Vec<(&str, i32)> = sub
        .reads
        .iter()
        .filter_map(|topic| Some((topic.as_str(), file.topics.get(topic)?.partitions)))
        .collect();
    let (_, first) = counts.first()?;
    if counts.iter().all(|(_, count)| count == first) {
        return None;
    }
    let listed: Vec<String> =
        counts.iter().map(|(topic, count)| format!("`{topic}` has {count}")).collect();
    let message = format!(
        "topics read together need equal partition counts: {}; records of one key would meet \
         different tasks",
        listed.join(", ")
    );
    Some(error(file, &format!("{path}.reads"), message))
}

fn ledger(file: &TopologyFile, sub: &SubTopologyDeclaration, path: &str) -> Option<Finding> {
    let written = file.lines.contains_key(&format!("{path}.ledger"));
    let (key, message) = match (sub.effects >= Effects::Write, &sub.ledger) {
        (true, None) if !written => (
            "effects",
            format!(
                "effects = \"{}\" needs a ledger, such as ledger = \"effects\": without it a \
                 restart repeats the effect",
                sub.effects.as_str()
            ),
        ),
        (false, Some(_)) => (
            "ledger",
            format!(
                "a ledger is for effects = \"write\" or \"publish\", found \"{}\"",
                sub.effects.as_str()
            ),
        ),
        _ => return None,
    };
    Some(error(file, &format!("{path}.{key}"), message))
}

fn internal_collisions(file: &TopologyFile) -> Vec<Finding> {
    let mut owners: BTreeMap<String, &str> = BTreeMap::new();
    let mut found = Vec::new();
    for app in file.apps.values() {
        let app_key = path_of("apps", &app.id);
        for name in internal_names(app) {
            if file.topics.contains_key(&name) {
                let message = format!("the name of an internal topic of app `{}`", app.id);
                found.push(error(file, &path_of("topics", &name), message));
            }
            if let Some(other) = owners.insert(name.clone(), &app.id).filter(|id| *id != app.id) {
                let message = format!("its internal topic `{name}` is one of app `{other}` too");
                found.push(error(file, &app_key, message));
            }
        }
    }
    found
}
