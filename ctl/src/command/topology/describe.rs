//! The declaration with everything that follows from it, in tables.
use std::process::ExitCode;

use serde_json::json;
use streams::topology_file::{AppDeclaration, Guarantee, TopicKind, TopicSpec};

use crate::cli::Shared;
use crate::table::Table;
use crate::{declaration, output};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only this app.
    app: Option<String>,
}

pub(super) fn run(args: &Args, shared: &Shared) -> anyhow::Result<ExitCode> {
    let (file, profile) = declaration::load(shared)?;
    let topics = file.topics_for(&profile);
    let apps: Vec<&AppDeclaration> = match &args.app {
        Some(id) => vec![file.app(id)?],
        None => file.apps().values().collect(),
    };
    if shared.json {
        let topics: Vec<_> = topics.iter().map(topic_json).collect();
        let apps: Vec<_> = apps.iter().map(|app| app_json(app)).collect();
        output::json(&json!({ "profile": shared.profile, "topics": topics, "apps": apps }))?;
        return Ok(ExitCode::SUCCESS);
    }
    for app in apps {
        output::line(&describe(app, &topics))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(app: &AppDeclaration, topics: &[TopicSpec]) -> String {
    let guarantee = app.guarantee.map_or("writes only", Guarantee::as_str);
    let mut table = Table::new(&["part", "effects", "role", "topic", "partitions", "settings"]);
    let mut row = |part: &str, effects: &str, role: &str, topic: &str| {
        let spec = topics.iter().find(|spec| spec.name == topic);
        let partitions = spec.map_or_else(String::new, |spec| spec.partitions.to_string());
        let settings = spec.map_or_else(String::new, settings);
        table.row(&[part, effects, role, topic, &partitions, &settings]);
    };
    for topic in &app.writes {
        row("", "", "writes", topic);
    }
    for (name, sub) in &app.sub_topologies {
        let effects = sub.effects.as_str();
        for topic in &sub.reads {
            row(name, effects, "reads", topic);
        }
        for topic in &sub.writes {
            row(name, effects, "writes", topic);
        }
        for store in &sub.stores {
            row(name, effects, "store", &format!("{}-{store}-changelog", app.id));
        }
        if let Some(ledger) = &sub.ledger {
            row(name, effects, "ledger", &format!("{}-{ledger}", app.id));
        }
    }
    if let Some(topic) = &app.dead_letters {
        row("", "", "dead letters", topic);
    }
    format!("{} ({guarantee})\n{}\n", app.id, table.render())
}

/// The settings a person compares; the full list is in `--json`.
fn settings(topic: &TopicSpec) -> String {
    let shown = ["cleanup.policy", "retention.ms"];
    let values = shown.iter().filter_map(|key| Some((key, topic.configs.get(key)?)));
    values.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
}

fn topic_json(topic: &TopicSpec) -> serde_json::Value {
    let (kind, value) = match &topic.kind {
        TopicKind::Event { value } => ("event", Some(value)),
        TopicKind::Changelog => ("changelog", None),
        TopicKind::Ledger => ("ledger", None),
        TopicKind::DeadLetters => ("dead-letters", None),
    };
    json!({
        "name": topic.name,
        "kind": kind,
        "value": value,
        "owner": topic.owner,
        "partitions": topic.partitions,
        "replication": topic.replication,
        "settings": topic.configs,
    })
}

fn app_json(app: &AppDeclaration) -> serde_json::Value {
    let sub_topologies: Vec<_> = app
        .sub_topologies
        .iter()
        .map(|(name, sub)| {
            json!({
                "name": name,
                "reads": sub.reads,
                "writes": sub.writes,
                "stores": sub.stores,
                "ledger": sub.ledger,
                "effects": sub.effects.as_str(),
            })
        })
        .collect();
    json!({
        "id": app.id,
        "guarantee": app.guarantee.map(Guarantee::as_str),
        "dead_letters": app.dead_letters,
        "writes": app.writes,
        "sub_topologies": sub_topologies,
    })
}
