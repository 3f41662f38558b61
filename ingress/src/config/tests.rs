use clap::Parser;
use signatures::source::SecretSite;

use super::*;

#[derive(Debug, Parser)]
struct Command {
    #[command(flatten)]
    config: Config,
}

const TOPOLOGY: &str = r#"
    [topics."bank.webhooks.received.v1"]
    partitions = 6
    retention = "30d"
    key = "source and subject id"
    value = "bank.WebhookReceived"

    [sources.up]
    preset = "up"
    path = "/webhooks/up"
    secrets = [{ id = "file", file = "secrets/up" }]

    [sources.stripe]
    preset = "stripe"
    path = "/webhooks/stripe"
    secrets = [{ id = "env", env = "STRIPE" }]

    [apps.ingress]
    writes = ["bank.webhooks.received.v1"]

    [profiles.testing]
    replication = 1
    min_insync_replicas = 1
    max_message_bytes = 1_114_112
    commit_interval = "100ms"
    session_timeout = "10s"
"#;

fn load(
    topology: &str,
    flags: &[&str],
) -> (tempfile::TempDir, Result<Vec<SourceConfig>, ConfigError>) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("topology.toml");
    std::fs::write(&file, topology).unwrap();
    let file = file.display().to_string();
    let given = ["ingress", "--topology-file", &file];
    let command = Command::try_parse_from(given.iter().chain(flags)).unwrap();
    let sources = command.config.sources();
    (folder, sources)
}

fn names(sources: &[SourceConfig]) -> Vec<&str> {
    let mut names: Vec<_> = sources.iter().map(|source| source.name.as_str()).collect();
    names.sort_unstable();
    names
}

#[test]
fn all_declared_sources_are_served_or_those_that_are_named() {
    let (_folder, all) = load(TOPOLOGY, &[]);
    assert_eq!(names(&all.unwrap()), ["stripe", "up"]);
    let (folder, chosen) = load(TOPOLOGY, &["--sources", "up"]);
    let chosen = chosen.unwrap();
    assert_eq!(names(&chosen), ["up"]);
    let anchored = SecretSite::File(folder.path().join("secrets/up"));
    assert_eq!(chosen[0].secrets[0].site, anchored);
}

#[test]
fn what_does_not_fit_together_is_refused_with_what_was_expected() {
    #[track_caller]
    fn check(topology: &str, flags: &[&str], expect: &[&str]) {
        let error = load(topology, flags).1.unwrap_err().to_string();
        for part in expect {
            assert!(error.contains(part), "`{error}` should contain `{part}`");
        }
    }
    check(TOPOLOGY, &["--sources", "up,wise"], &["`wise`", "topology.toml", "up"]);
    check(TOPOLOGY, &["--allow", "wise=192.0.2.0/24"], &["--allow", "`wise`", "topology.toml"]);
    check(TOPOLOGY, &["--body-limit", "1048577"], &["--body-limit", "1048577", "1048576"]);
    check(&TOPOLOGY.replace("profiles.testing", "profiles.other"), &[], &["testing", "other"]);
    let path = "path = \"/webhooks/stripe\"";
    let hours =
        TOPOLOGY.replace(path, &format!("{path}\ntolerance = \"3h\"\ndedupe_window = \"2h\""));
    check(&hours, &[], &["`sources.stripe`", "3h", "2h only", "`dedupe_window`"]);
    let short = TOPOLOGY.replace("30d", "6d");
    check(&short, &[], &["`sources.up`", "7d", "bank.webhooks.received.v1", "6d"]);
    check(&TOPOLOGY.replace("path = \"/webhooks/up\"", ""), &[], &["`sources.up`", "path"]);
}

#[test]
fn rejected_requests_are_kept_on_a_declared_topic_whose_records_hold_their_bodies() {
    let table = "[topics.\"bank.webhooks.rejected.v1\"]\npartitions = 1\nretention = \"3d\"\n\
                 key = \"source\"\nvalue = \"bank.WebhookRejected\"\n";
    let declared = format!("{table}{TOPOLOGY}");
    let wanted = ["--capture-topic"];
    assert!(load(&declared, &wanted).1.is_ok());
    let error = load(TOPOLOGY, &wanted).1.unwrap_err().to_string();
    assert!(error.contains("`bank.webhooks.rejected.v1` is not declared"), "{error}");
    let long = ["--capture-topic", "--capture-body-limit", "262145"];
    let error = load(&declared, &long).1.unwrap_err().to_string();
    assert!(error.contains("262145") && error.contains("at most 262144"), "{error}");
    // a file takes any
    assert!(load(TOPOLOGY, &long[1..]).1.is_ok());
}
