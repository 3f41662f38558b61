//! Alerts and dashboards: what they name is counted, what is counted is shown, and every alert has a
//! test that Prometheus' own `promtool` runs.

use std::collections::BTreeSet;
use std::process::Command;

use crate::tree::{self, File};
use crate::{assert_clean, assert_found};

const RULES: &str = "docker/prometheus/rules.yaml";
/// Apart, what takes minutes and what takes days: the latter with fewer looks.
const RULES_TESTS: [&str; 2] =
    ["docker/prometheus/rules_test.yaml", "docker/prometheus/rules_days_test.yaml"];
const DASHBOARD: &str = "docker/grafana/bankstream.json";

/// The metrics of the ingress that a text names, without the parts of a histogram.
fn metrics(text: &str) -> BTreeSet<String> {
    let is_word = |next: char| next.is_ascii_lowercase() || next.is_ascii_digit() || next == '_';
    let words = text.split(|next: char| !is_word(next));
    let metrics = words.filter(|word| word.starts_with("webhook_") && *word != "webhook_");
    let part = |word: &str| {
        let parts = ["_bucket", "_sum", "_count"];
        parts.iter().find_map(|part| word.strip_suffix(part)).unwrap_or(word).to_owned()
    };
    metrics.map(part).collect()
}

/// The metrics that the ingress makes: string literals of the modules that make them.
fn made(files: &[File]) -> BTreeSet<String> {
    let ours = files.iter().filter(|file| file.path.starts_with("ingress/src/metrics"));
    let literals = ours.flat_map(|file| file.text.split('"').skip(1).step_by(2));
    let is_name = |text: &&str| text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    literals
        .filter(|text| text.starts_with("webhook_"))
        .filter(is_name)
        .map(str::to_owned)
        .collect()
}

fn not_among(
    file: &str,
    named: &BTreeSet<String>,
    known: &BTreeSet<String>,
    says: &str,
) -> Vec<String> {
    named.difference(known).map(|name| format!("{file}: {says} `{name}`")).collect()
}

/// Alerts of the rules without a word in their tests.
fn untested(rules: &str, tests: &str) -> Vec<String> {
    let alerts = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    let is_untested = |alert: &&str| {
        let named = tests.split(|next: char| !next.is_alphanumeric()).any(|word| word == *alert);
        !named
    };
    alerts.filter(is_untested).map(|alert| format!("{RULES}: no test of `{alert}`")).collect()
}

#[test]
fn alerts_and_dashboards_name_what_is_counted_and_show_all_of_it() {
    let made = made(&tree::rust_files());
    assert!(made.len() > 20, "{made:?}");
    let mut findings = Vec::new();
    for file in [RULES, DASHBOARD] {
        findings.extend(not_among(file, &metrics(&tree::read(file)), &made, "no program counts"));
    }
    let shown = metrics(&tree::read(DASHBOARD));
    findings.extend(not_among(DASHBOARD, &made, &shown, "no panel shows"));
    assert_clean(&findings);
}

#[test]
fn every_alert_is_tested() {
    assert_clean(&untested(&tree::read(RULES), &RULES_TESTS.map(tree::read).concat()));
}

/// Whoever is woken by an alert looks for its name there.
#[test]
fn every_alert_is_named_by_the_runbook() {
    let found = untested(&tree::read(RULES), &tree::read("docs/OPERATIONS.md"));
    assert_clean(&found.into_iter().map(|it| format!("{it} in OPERATIONS")).collect::<Vec<_>>());
}

#[test]
fn alerts_fire_and_stay_silent_as_promtool_tells() {
    // `./run test` puts it there where the system has none.
    let fetched = tree::root().join(".bankstream/tools/usr/bin/promtool");
    let promtool = if fetched.exists() { fetched } else { "promtool".into() };
    let runs = [("check", RULES)].into_iter().chain(RULES_TESTS.map(|file| ("test", file)));
    for (what, file) in runs {
        let path = tree::root().join(file);
        let run = Command::new(&promtool).args([what, "rules"]).arg(&path).output();
        let run = run.unwrap_or_else(|error| {
            panic!("promtool: {error}; it comes with Prometheus, and `./run test` fetches it")
        });
        let said = [run.stdout, run.stderr].concat();
        assert!(run.status.success(), "{file}:\n{}", String::from_utf8_lossy(&said));
    }
}

#[test]
fn what_alerts_and_dashboards_get_wrong_is_found() {
    let code =
        File::new("ingress/src/metrics/a.rs", "make(\"webhook_one_total\"); make(\"webhook_two\")");
    let known = made(&[code]);
    let named = metrics("rate(webhook_one_total[5m]) / webhook_two_count > webhook_three{a=\"b\"}");
    assert_found(&not_among("x", &named, &known, "no program counts"), "webhook_three");
    assert_clean(&not_among("x", &known, &named, "no panel shows"));
    let rules = "  - alert: One\n  - alert: Other\n";
    assert_found(&untested(rules, "alertname=\"One\", alertname=\"Others\""), "`Other`");
}
