//! The declaration with everything that follows from it, in tables.
use std::process::ExitCode;

use serde_json::json;
use streams::topology_file::{
    AppDeclaration, Guarantee, SubTopologyDeclaration, TopicKind, TopicSpec, format_duration,
};

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
    let mut table =
        Table::new(&["part", "effects", "guarantee", "role", "topic", "partitions", "settings"]);
    let mut row = |part: (&str, &str, &str), role: &str, topic: &str| {
        let spec = topics.iter().find(|spec| spec.name == topic);
        let partitions = spec.map_or_else(String::new, |spec| spec.partitions.to_string());
        let settings = spec.map_or_else(String::new, settings);
        let (name, effects, guarantee) = part;
        table.row(&[name, effects, guarantee, role, topic, &partitions, &settings]);
    };
    let whole = ("", "", "");
    for topic in &app.writes {
        row(whole, "writes", topic);
    }
    for (name, sub) in &app.sub_topologies {
        let part = (name.as_str(), sub.effects.as_str(), guarantee_of(app, sub).unwrap_or(""));
        for topic in &sub.reads {
            row(part, "reads", topic);
        }
        for topic in &sub.writes {
            row(part, "writes", topic);
        }
        for store in &sub.stores {
            row(part, "store", &format!("{}-{store}-changelog", app.id));
        }
        for (store, window) in &sub.dedupe_stores {
            let role = format!("dedupe store, {}", format_duration(*window));
            row(part, &role, &format!("{}-{store}-changelog", app.id));
        }
        if let Some(ledger) = &sub.ledger {
            row(part, "ledger", &format!("{}-{ledger}", app.id));
        }
    }
    if let Some(topic) = &app.dead_letters {
        row(whole, "dead letters", topic);
    }
    format!("{} ({guarantee})\n{}\n", app.id, table.render())
}

/// What a part is promised: less than its app asks for where it changes the world.
fn guarantee_of(app: &AppDeclaration, sub: &SubTopologyDeclaration) -> Option<&'static str> {
    app.guarantee.map(|asked| asked.with(sub.effects).as_str())
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
                "dedupe_stores": dedupe_stores_json(sub),
                "ledger": sub.ledger,
                "effects": sub.effects.as_str(),
                "guarantee": guarantee_of(app, sub),
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

fn dedupe_stores_json(sub: &SubTopologyDeclaration) -> Vec<serde_json::Value> {
    let json = |(name, window): (&String, &std::time::Duration)| json!({ "name": name, "window": format_duration(*window) });
    sub.dedupe_stores.iter().map(json).collect()
}

#[cfg(test)]
mod tests {
    use super::{app_json, describe};
    use crate::declaration::testing::dropper;

    #[test]
    fn every_part_is_shown_with_what_it_is_promised_and_what_it_remembers() {
        let file = dropper();
        let topics = file.topics_for(file.profile("testing").unwrap());
        let app = file.app("dropper").unwrap();
        insta::assert_snapshot!(describe(app, &topics), @r"
        dropper (exactly_once)
        PART    EFFECTS  GUARANTEE      ROLE              TOPIC                   PARTITIONS  SETTINGS
        decide  none     exactly_once   reads             bank.moves.v1           1           cleanup.policy=delete retention.ms=2592000000
        decide  none     exactly_once   writes            coin.drops.v1           1           cleanup.policy=delete retention.ms=-1
        decide  none     exactly_once   store             dropper-jar-changelog   1           cleanup.policy=compact
        decide  none     exactly_once   dedupe store, 7d  dropper-seen-changelog  1           cleanup.policy=delete retention.ms=842400000
        hook    write    at_least_once  reads             coin.drops.v1           1           cleanup.policy=delete retention.ms=-1
        hook    write    at_least_once  ledger            dropper-effects         1           cleanup.policy=compact
                                        dead letters      dropper-dlq             1           cleanup.policy=delete retention.ms=7776000000
        ");
        let json = app_json(app);
        let [decide, hook] = [0, 1].map(|part| &json["sub_topologies"][part]);
        assert_eq!(decide["guarantee"], "exactly_once");
        assert_eq!(hook["guarantee"], "at_least_once");
        let window = serde_json::json!([{ "name": "seen", "window": "7d" }]);
        assert_eq!(decide["dedupe_stores"], window);
    }
}
