//! The declared topology as a picture: for a terminal, or as Mermaid for a document.
use std::fmt::Write as _;
use std::time::Duration;

use streams::Effects;
use streams::topology_file::{
    AppDeclaration, SubTopologyDeclaration, TopologyFile, format_duration,
};

/// The apps in text: what each part reads, keeps and writes.
pub fn text(file: &TopologyFile) -> String {
    let mut lines: Vec<String> = Vec::new();
    for app in file.apps().values() {
        let guarantee = app.guarantee.map(|guarantee| format!(" ({})", guarantee.as_str()));
        lines.push(format!("{}{}", app.id, guarantee.unwrap_or_default()));
        lines.extend(app.writes.iter().map(|topic| format!("  --> {topic}")));
        for (name, sub) in &app.sub_topologies {
            lines.push(format!("  {name} [{}]", promise(app, sub)));
            lines.extend(sub.reads.iter().map(|topic| format!("    <-- {topic}")));
            lines.extend(sub.stores.iter().map(|store| format!("    === store {store}")));
            lines.extend(dedupe_stores(sub).map(|store| format!("    === dedupe store {store}")));
            lines.extend(sub.ledger.iter().map(|ledger| format!("    === ledger {ledger}")));
            lines.extend(sub.writes.iter().map(|topic| format!("    --> {topic}")));
        }
        lines.extend(app.dead_letters.iter().map(|topic| format!("  --x {topic}")));
    }
    lines.join("\n")
}

/// What a part may do, and what it is promised where that is not what its app is.
fn promise(app: &AppDeclaration, sub: &SubTopologyDeclaration) -> String {
    let effects = format!("effects: {}", sub.effects.as_str());
    match app.guarantee.map(|asked| (asked, asked.with(sub.effects))) {
        Some((asked, given)) if asked != given => format!("{effects}, {}", given.as_str()),
        _ => effects,
    }
}

/// Dedupe stores with their windows.
fn dedupe_stores(sub: &SubTopologyDeclaration) -> impl Iterator<Item = String> {
    let shown =
        |(name, window): (&String, &Duration)| format!("{name} ({})", format_duration(*window));
    sub.dedupe_stores.iter().map(shown)
}

/// A Mermaid flow chart: apps as boxes, topics as cylinders, the world outside as a rounded box.
pub fn mermaid(file: &TopologyFile) -> String {
    let mut chart = Chart { lines: vec!["flowchart LR".to_owned()] };
    for topic in file.topics().keys() {
        chart.line(&format!("{}[(\"{topic}\")]", node("topic", topic)));
    }
    for app in file.apps().values() {
        chart.app(app);
    }
    chart.lines.join("\n")
}

struct Chart {
    lines: Vec<String>,
}

impl Chart {
    fn line(&mut self, line: &str) {
        self.lines.push(format!("    {line}"));
    }

    fn app(&mut self, app: &AppDeclaration) {
        let id = node("app", &app.id);
        if app.sub_topologies.is_empty() {
            self.line(&format!("{id}[\"{}\"]", app.id));
            for topic in &app.writes {
                self.line(&format!("{id} --> {}", node("topic", topic)));
            }
            return;
        }
        self.line(&format!("subgraph {id}[\"{}\"]", app.id));
        for (name, sub) in &app.sub_topologies {
            self.line(&format!("    {}[\"{}\"]", node(&id, name), label(name, sub)));
        }
        self.line("end");
        for (name, sub) in &app.sub_topologies {
            self.edges(&node(&id, name), sub);
        }
    }

    fn edges(&mut self, part: &str, sub: &SubTopologyDeclaration) {
        for topic in &sub.reads {
            self.line(&format!("{} --> {part}", node("topic", topic)));
        }
        for topic in &sub.writes {
            self.line(&format!("{part} --> {}", node("topic", topic)));
        }
        if sub.effects != Effects::None {
            let arrow = if sub.effects == Effects::Read { "<-. reads .->" } else { "-. acts .->" };
            self.line(&format!("{part} {arrow} world([\"the world outside\"])"));
        }
    }
}

fn label(name: &str, sub: &SubTopologyDeclaration) -> String {
    let mut label = name.to_owned();
    for store in &sub.stores {
        // writing to a string does not fail
        write!(label, "<br/>store: {store}").unwrap_or_default();
    }
    for store in dedupe_stores(sub) {
        write!(label, "<br/>dedupe store: {store}").unwrap_or_default();
    }
    if let Some(ledger) = &sub.ledger {
        write!(label, "<br/>ledger: {ledger}").unwrap_or_default();
    }
    label
}

/// An identifier that Mermaid takes.
fn node(kind: &str, name: &str) -> String {
    let name: String = name
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' })
        .collect();
    format!("{kind}_{name}")
}

#[cfg(test)]
mod tests {
    use super::{mermaid, text};
    use crate::declaration::testing::dropper;

    #[test]
    fn text_shows_what_each_part_reads_keeps_and_writes() {
        insta::assert_snapshot!(text(&dropper()), @r"
        door
          --> bank.moves.v1
        dropper (exactly_once)
          decide [effects: none]
            <-- bank.moves.v1
            === store jar
            === dedupe store seen (7d)
            --> coin.drops.v1
          hook [effects: write, at_least_once]
            <-- coin.drops.v1
            === ledger effects
          --x dropper-dlq
        ");
    }

    #[test]
    fn mermaid_shows_apps_topics_and_effects() {
        insta::assert_snapshot!(mermaid(&dropper()), @r#"
        flowchart LR
            topic_bank_moves_v1[("bank.moves.v1")]
            topic_coin_drops_v1[("coin.drops.v1")]
            app_door["door"]
            app_door --> topic_bank_moves_v1
            subgraph app_dropper["dropper"]
                app_dropper_decide["decide<br/>store: jar<br/>dedupe store: seen (7d)"]
                app_dropper_hook["hook<br/>ledger: effects"]
            end
            topic_bank_moves_v1 --> app_dropper_decide
            app_dropper_decide --> topic_coin_drops_v1
            topic_coin_drops_v1 --> app_dropper_hook
            app_dropper_hook -. acts .-> world(["the world outside"])
        "#);
    }
}
