//! Refuses to start what does not fit `topology.toml` or the cluster.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{
    admin::TopicState,
    names::Names,
    topology::{StoreKind, SubTopology, Topology},
    topology_file::{SubTopologyDeclaration, TopologyFile, format_duration},
};

/// What does not fit.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum CheckError {
    /// The file does not declare the sub-topology.
    #[error(
        "`{application_id}` runs sub-topology `{sub}`, which {file} does not declare under \
         [apps.{application_id}.sub_topologies]; declare it there and run `bankstream topology apply`, \
         or run the version of the program that the file is for"
    )]
    Undeclared {
        /// The application.
        application_id: String,
        /// The sub-topology.
        sub: String,
        /// The declaration's file.
        file: String,
    },
    /// Program and file disagree.
    #[error(
        "[apps.{application_id}.sub_topologies.{sub}] of {file} declares {what} {declared}; the program \
         has {actual}; run the version of the program that the file is for, or change the file and run \
         `bankstream topology apply`"
    )]
    Mismatch {
        /// The application.
        application_id: String,
        /// The sub-topology.
        sub: String,
        /// The declaration's file.
        file: String,
        /// reads, writes, stores, dedupe stores, ledger or effects.
        what: &'static str,
        /// What the file says.
        declared: String,
        /// What the program does.
        actual: String,
    },
    /// A topic is not on the cluster.
    #[error(
        "topic `{topic}` is not on the cluster; run `bankstream topology apply`, or make it yourself \
         where it is not declared"
    )]
    MissingTopic {
        /// The topic.
        topic: String,
    },
    /// Topics that are read together differ.
    #[error(
        "`{topic}` has {actual} partitions on the cluster and `{other}` has {expected}; sub-topology \
         `{sub}` reads them together and needs equal counts; while both are empty, give the one with \
         fewer as many; otherwise their keys lie apart and no count puts them together: make the smaller \
         topic anew with as many partitions and fill it again, or, where it is a changelog, begin anew \
         (delete the state directory, the changelogs and the group's offsets, then `bankstream topology \
         apply`)"
    )]
    Partitions {
        /// One topic.
        topic: String,
        /// Its partitions.
        actual: i32,
        /// The other.
        other: String,
        /// Its partitions.
        expected: i32,
        /// Who reads both.
        sub: String,
    },
}

/// Compares the program with its declaration. A declared sub-topology may be absent from the
/// program (an optional effect that is not configured); the reverse may not.
pub(super) fn against_file(topology: &Topology, file: &TopologyFile) -> Result<(), CheckError> {
    let application_id = topology.application_id().to_owned();
    let path = file.path().display().to_string();
    let app = file.apps().get(&application_id);
    for sub in &topology.subs {
        let declared = app.and_then(|app| app.sub_topologies.get(&sub.name));
        let Some(declared) = declared else {
            return Err(CheckError::Undeclared {
                application_id,
                sub: sub.name.clone(),
                file: path,
            });
        };
        if let Some((what, declared, actual)) = difference(sub, declared) {
            return Err(CheckError::Mismatch {
                application_id,
                sub: sub.name.clone(),
                file: path,
                what,
                declared,
                actual,
            });
        }
    }
    Ok(())
}

fn difference(
    sub: &SubTopology,
    declared: &SubTopologyDeclaration,
) -> Option<(&'static str, String, String)> {
    let stores = |kind| {
        let of_kind = sub.stores.iter().filter(move |store| store.kind == kind);
        names(of_kind.map(|store| &store.name))
    };
    let seen = sub.stores.iter().filter_map(|store| match &store.kind {
        StoreKind::Seen { window } => Some((&store.name, window)),
        StoreKind::State | StoreKind::Ledger => None,
    });
    let declared_seen: Vec<String> = declared.dedupe_stores.iter().map(with_window).collect();
    let seen: Vec<String> = seen.map(with_window).collect();
    let pairs = [
        ("reads", names(&declared.reads), names(sub.sources.iter().map(|source| &source.topic))),
        ("writes", names(&declared.writes), names(sub.sinks.iter().map(|sink| &sink.topic))),
        ("stores", names(&declared.stores), stores(StoreKind::State)),
        ("dedupe stores", names(&declared_seen), names(&seen)),
        ("ledger", names(&declared.ledger), stores(StoreKind::Ledger)),
        ("effects", declared.effects.as_str().to_owned(), sub.effects.as_str().to_owned()),
    ];
    pairs.into_iter().find(|(_, declared, actual)| declared != actual)
}

fn with_window((name, window): (&String, &Duration)) -> String {
    format!("{name} for {}", format_duration(*window))
}

fn names<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    let names: BTreeSet<&str> = names.into_iter().map(String::as_str).collect();
    format!("{names:?}")
}

/// Compares the program with the cluster.
pub(super) fn against_cluster(
    topology: &Topology,
    names: &Names,
    topics: &BTreeMap<String, TopicState>,
) -> Result<(), CheckError> {
    let partitions = |topic: String| match topics.get(&topic) {
        Some(state) => Ok((topic, state.partitions)),
        None => Err(CheckError::MissingTopic { topic }),
    };
    partitions(names.written(&topology.dead_letter_topic()))?;
    for sub in &topology.subs {
        let mut together: Option<(String, i32)> = None;
        let sources = sub.sources.iter().map(|source| names.read(&source.topic));
        let changelogs = sub.stores.iter().map(|store| store.topic(topology.application_id()));
        for topic in sources.chain(changelogs.map(|topic| names.written(&topic))) {
            let (topic, actual) = partitions(topic)?;
            match &together {
                Some((other, expected)) if *expected != actual => {
                    let (other, expected) = (other.clone(), *expected);
                    let sub = sub.name.clone();
                    return Err(CheckError::Partitions { topic, actual, other, expected, sub });
                }
                Some(_) => {}
                None => together = Some((topic, actual)),
            }
        }
        for sink in &sub.sinks {
            partitions(names.written(&sink.topic))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
