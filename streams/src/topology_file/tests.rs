use std::path::Path;
use std::time::Duration;

use super::{Error, Retention, TopologyFile};
use crate::topology::Effects;

const FILE: &str = r#"
[topics."bank.moves.seen.v1"]
partitions = 6
retention = "30d"
key = "account id"
value = "bank.MoveSeen"

[topics."coin.drops.made.v1"]
partitions = 3
retention = "forever"
key = "drop id"
value = "coin.DropMade"

[sources.up]
preset = "up"

[apps.door]
writes = ["bank.moves.seen.v1"]

[apps.dropper]
guarantee = "at_least_once"
dead_letters = "dropper-dlq"

[apps.dropper.sub_topologies.decide]
reads = ["bank.moves.seen.v1"]
writes = ["coin.drops.made.v1"]
stores = ["seen"]
effects = "none"

[apps.dropper.sub_topologies.hook]
reads = ["coin.drops.made.v1"]
ledger = "effects"
effects = "write"

[profiles.testing]
replication = 1
min_insync_replicas = 1
max_message_bytes = 1_114_112
commit_interval = "100ms"
session_timeout = "10s"
"#;

fn parse(text: &str) -> Result<TopologyFile, Error> {
    TopologyFile::parse(Path::new("topology.toml"), text)
}

fn complaints(text: &str) -> String {
    match parse(text) {
        Ok(_) => String::new(),
        Err(Error::Invalid { findings }) => findings.to_string(),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_sound_file_is_read_in_full() {
    let file = parse(FILE).unwrap();
    let topic = &file.topics()["bank.moves.seen.v1"];
    assert_eq!(topic.partitions, 6);
    assert_eq!(topic.retention, Retention::For(Duration::from_hours(30 * 24)));
    assert_eq!(file.sources()["up"]["preset"].as_str(), Some("up"));
    let dropper = file.app("dropper").unwrap();
    assert_eq!(dropper.reads(), ["bank.moves.seen.v1", "coin.drops.made.v1"]);
    assert_eq!(dropper.sub_topologies["hook"].effects, Effects::Write);
    assert_eq!(file.profile("testing").unwrap().commit_interval, Duration::from_millis(100));
    assert!(file.warnings().is_empty(), "{}", file.warnings());
}

/// Replaces `from` by `to` in the sound file and compares all that is said.
fn check(from: &str, to: &str, expect: &[&str]) {
    assert!(FILE.contains(from), "the sound file has no {from}");
    let said = complaints(&FILE.replacen(from, to, 1));
    let expect: Vec<String> = expect.iter().map(|line| format!("topology.toml:{line}")).collect();
    assert_eq!(said.lines().collect::<Vec<_>>(), expect);
}

#[test]
fn errors_of_a_topic_name_their_place_and_what_was_expected() {
    let moves = "topics.\"bank.moves.seen.v1\"";
    check(
        "partitions = 6",
        "partitons = 6",
        &[
            &format!("2: {moves}.partitions: missing; expected a whole number from 1 to 1000"),
            &format!(
                "3: {moves}.partitons: unknown key; did you mean `partitions`?; expected \
                 `partitions`, `cleanup`, `retention`, `key`, `value`"
            ),
        ],
    );
    check(
        "partitions = 6",
        "partitions = 0",
        &[&format!("3: {moves}.partitions: expected a whole number from 1 to 1000, found 0")],
    );
    check(
        "\"30d\"",
        "\"thirty days\"",
        &[&format!(
            "4: {moves}.retention: expected \"forever\" or a span such as \"30d\", found \"thirty \
             days\""
        )],
    );
    check(
        "retention = \"30d\"",
        "cleanup = \"compact\"\nretention = \"30d\"",
        &[&format!("5: {moves}.retention: a compacted topic keeps its keys \"forever\"")],
    );
    check(
        "value = \"bank.MoveSeen\"",
        "",
        &[&format!(
            "2: {moves}.value: missing; expected the name of a schema, such as \
             \"bank.AccountObserved\""
        )],
    );
}

#[test]
fn errors_of_a_sub_topology_name_their_place_and_what_was_expected() {
    let subs = "apps.dropper.sub_topologies";
    check(
        "effects = \"none\"",
        "effects = \"nothing\"",
        &[&format!(
            "28: {subs}.decide.effects: expected \"none\", \"read\", \"write\" or \"publish\", \
             found \"nothing\""
        )],
    );
    check(
        "writes = [\"coin.drops.made.v1\"]",
        "writes = [\"coin.drop.made.v1\"]",
        &[&format!(
            "26: {subs}.decide.writes[0]: topic `coin.drop.made.v1` is not declared; did you mean \
             `coin.drops.made.v1`?"
        )],
    );
    check(
        "reads = [\"bank.moves.seen.v1\"]",
        "reads = [\"bank.moves.seen.v1\", \"coin.drops.made.v1\"]",
        &[&format!(
            "25: {subs}.decide.reads: topics read together need equal partition counts: \
             `bank.moves.seen.v1` has 6, `coin.drops.made.v1` has 3; records of one key would meet \
             different tasks"
        )],
    );
    check(
        "reads = [\"bank.moves.seen.v1\"]",
        "reads = []",
        &[&format!(
            "25: {subs}.decide.reads: expected a list of the topics it reads, found an empty list"
        )],
    );
}

#[test]
fn errors_of_a_dedupe_store_name_their_place_and_what_was_expected() {
    fn refused(declared: &str, expect: &str) {
        check("stores = [\"seen\"]", declared, &[&format!("27: {DECIDE}.{expect}")]);
    }
    const DECIDE: &str = "apps.dropper.sub_topologies.decide";
    for window in ["\"30\"", "\"59s\"", "\"367d\"", "30"] {
        refused(
            &format!("dedupe_stores = {{ seen = {window} }}"),
            &format!("dedupe_stores.seen: expected a span from \"1m\" to \"366d\", found {window}"),
        );
    }
    refused(
        "dedupe_stores = [\"seen\"]",
        "dedupe_stores: expected a table of names, each with a span from \"1m\" to \"366d\", found \
         a list",
    );
    refused(
        "dedupe_stores = { \"seen.ids\" = \"1d\" }",
        "dedupe_stores: expected a name of lower-case letters, digits and hyphens, found \
         \"seen.ids\"",
    );
    check(
        "stores = [\"seen\"]",
        "stores = [\"seen\"]\ndedupe_stores = { seen = \"1d\" }",
        &[&format!(
            "28: {DECIDE}.dedupe_stores: `seen` is a store or ledger of `decide` already; each \
             needs its own name"
        )],
    );
}

#[test]
fn errors_of_apps_and_profiles_name_their_place_and_what_was_expected() {
    let subs = "apps.dropper.sub_topologies";
    check(
        "dead_letters = \"dropper-dlq\"",
        "dead_letters = \"dlq\"",
        &["22: apps.dropper.dead_letters: expected \"dropper-dlq\", found \"dlq\""],
    );
    check(
        "dead_letters = \"dropper-dlq\"",
        "",
        &["20: apps.dropper.dead_letters: missing; expected \"dropper-dlq\""],
    );
    check(
        "ledger = \"effects\"",
        "",
        &[&format!(
            "33: {subs}.hook.effects: effects = \"write\" needs a ledger, such as ledger = \
             \"effects\": without it a restart repeats the effect"
        )],
    );
    check(
        "stores = [\"seen\"]",
        "ledger = \"drops\"",
        &[&format!(
            "27: {subs}.decide.ledger: a ledger is for effects = \"write\" or \"publish\", found \
             \"none\""
        )],
    );
    check(
        "ledger = \"effects\"",
        "ledger = \"seen\"",
        &[&format!(
            "32: {subs}.hook.ledger: `seen` is a store or ledger of `decide` already; each needs \
             its own name"
        )],
    );
    check(
        "min_insync_replicas = 1",
        "min_insync_replicas = 2",
        &[
            "37: profiles.testing.min_insync_replicas: expected at most the replication of 1, found \
           2: nothing could be written",
        ],
    );
    check(
        "[sources.up]\npreset = \"up\"",
        "[source.up]",
        &[
            "14: source: unknown key; did you mean `sources`?; expected `topics`, `sources`, `apps`, \
         `profiles`",
        ],
    );
    check(
        "[apps.door]\nwrites = [\"bank.moves.seen.v1\"]",
        "[apps.door]",
        &[
            "17: apps.door.writes: missing; expected the topics it writes, or sub_topologies that read \
         some",
        ],
    );
}

#[test]
fn a_topic_name_with_an_underscore_is_refused() {
    let said = complaints(&FILE.replace("coin.drops.made.v1", "coin_drops"));
    assert_eq!(
        said,
        "topology.toml:8: topics.coin_drops: expected a topic name of lower-case letters, digits, \
         dots and hyphens, at most 173 long (dot and underscore collide in Kafka's metric names)"
    );
}

#[test]
fn text_that_is_not_toml_is_placed() {
    let said = complaints("[topics\npartitions = 1\n");
    assert!(said.starts_with("topology.toml:1: not TOML: "), "{said}");
}

#[test]
fn all_errors_are_shown_at_once_in_the_order_of_the_file() {
    let broken = FILE
        .replace("partitions = 6", "partitions = \"six\"")
        .replace("guarantee = \"at_least_once\"", "guarantee = \"always\"")
        .replace("writes = [\"coin.drops.made.v1\"]", "writes = [\"coin.drops\"]")
        .replace("\"10s\"", "\"ten\"");
    let said = complaints(&broken);
    let lines: Vec<&str> = said.lines().filter_map(|line| line.split(':').nth(1)).collect();
    assert_eq!(lines, ["3", "21", "26", "40"], "{said}");
}

#[test]
fn a_topic_named_like_an_internal_one_is_refused() {
    let said = complaints(&FILE.replace("coin.drops.made.v1", "dropper-seen-changelog"));
    assert_eq!(
        said,
        "topology.toml:8: topics.dropper-seen-changelog: the name of an internal topic of app \
         `dropper`"
    );
}

#[test]
fn a_missing_app_or_profile_lists_what_there_is() {
    let file = parse(FILE).unwrap();
    assert_eq!(
        file.app("droper").unwrap_err().to_string(),
        "topology.toml: apps: no app `droper`; did you mean `dropper`?; declared are `door`, \
         `dropper`"
    );
    assert_eq!(
        file.profile("staging").unwrap_err().to_string(),
        "topology.toml: profiles: no profile `staging`; expected one of `testing`"
    );
}

#[test]
fn odd_declarations_are_warnings() {
    fn check(from: &str, to: &str, expect: &str) {
        let file = parse(&FILE.replacen(from, to, 1)).unwrap();
        assert_eq!(file.warnings().to_string(), expect);
    }
    let moves = "topology.toml:2: warning: topics.\"bank.moves.seen.v1\": ";
    check(
        "[apps.door]\nwrites = [\"bank.moves.seen.v1\"]",
        "",
        &format!("{moves}no app writes it"),
    );
    check(
        "[apps.door]",
        "[apps.poller]\nwrites = [\"bank.moves.seen.v1\"]\n[apps.door]",
        &format!("{moves}door and poller write it: who owns its schema and its order?"),
    );
    check(
        "[sources.up]",
        "[topics.lonely]\npartitions = 1\nretention = \"1d\"\nkey = \"k\"\nvalue = \"v\"\n\
         [sources.up]",
        "topology.toml:14: warning: topics.lonely: no app reads or writes it",
    );
}

#[test]
fn internal_topics_follow_from_the_apps() {
    let file = parse(FILE).unwrap();
    let topics = file.topics_for(file.profile("testing").unwrap());
    let shown: Vec<(&str, i32)> =
        topics.iter().map(|topic| (topic.name.as_str(), topic.partitions)).collect();
    assert_eq!(
        shown,
        [
            ("bank.moves.seen.v1", 6),
            ("coin.drops.made.v1", 3),
            ("dropper-dlq", 6),
            ("dropper-effects", 3),
            ("dropper-seen-changelog", 6),
        ]
    );
    let configs = |name: &str| {
        let topic = topics.iter().find(|topic| topic.name == name).unwrap();
        topic.configs.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>()
    };
    assert_eq!(
        configs("bank.moves.seen.v1"),
        [
            "cleanup.policy=delete",
            "max.message.bytes=1114112",
            "min.insync.replicas=1",
            "retention.ms=2592000000",
        ]
    );
    assert_eq!(
        configs("dropper-seen-changelog"),
        [
            "cleanup.policy=compact",
            "delete.retention.ms=604800000",
            "max.message.bytes=1114112",
            "min.compaction.lag.ms=86400000",
            "min.insync.replicas=1",
        ]
    );
    assert!(configs("dropper-dlq").contains(&"max.message.bytes=1179648".to_owned()));
}

#[test]
fn changelog_of_a_dedupe_store_is_deleted_by_age_a_little_after_its_window() {
    let declared = "dedupe_stores = { seen = \"8d\" }";
    let file = parse(&FILE.replacen("stores = [\"seen\"]", declared, 1)).unwrap();
    let topics = file.topics_for(file.profile("testing").unwrap());
    let seen = topics.iter().find(|topic| topic.name == "dropper-seen-changelog").unwrap();
    assert_eq!((seen.partitions, seen.replication), (6, 1));
    let configs: Vec<_> =
        seen.configs.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(
        configs,
        [
            "cleanup.policy=delete",
            "max.message.bytes=1114112",
            "min.insync.replicas=1",
            // eight days, a bucket and a day more
            "retention.ms=950400000",
        ]
    );
}

#[test]
fn a_run_has_its_own_copy_of_everything_its_app_writes() {
    let file = parse(FILE).unwrap();
    let profile = file.profile("testing").unwrap();
    let topics = file.topics_of_run(file.app("dropper").unwrap(), profile, "r1");
    let names: Vec<&str> = topics.iter().map(|topic| topic.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "coin.drops.made.v1.run-r1",
            "dropper-dlq.run-r1",
            "dropper-effects.run-r1",
            "dropper-seen-changelog.run-r1",
        ]
    );
}

#[test]
fn the_project_declares_itself_without_a_finding() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../topology.toml");
    let file = TopologyFile::load(&path).unwrap();
    assert!(file.warnings().is_empty(), "{}", file.warnings());
}

/// A folder with one topic, its schema and the given history.
fn project(schema: &str, history: &[&str]) -> (tempfile::TempDir, TopologyFile) {
    let folder = tempfile::tempdir().unwrap();
    let text = "[topics.seen]\npartitions = 1\nretention = \"1d\"\nkey = \"k\"\nvalue = \"bank.Seen\"\n\
                [apps.door]\nwrites = [\"seen\"]\n[profiles]\n";
    let avro = folder.path().join("schemas/avro");
    std::fs::create_dir_all(&avro).unwrap();
    std::fs::write(avro.join("bank.Seen.avsc"), schema).unwrap();
    let past = folder.path().join("schemas/history/seen-value");
    std::fs::create_dir_all(&past).unwrap();
    for (version, text) in (1..).zip(history) {
        std::fs::write(past.join(format!("{version}.avsc")), text).unwrap();
    }
    let file = TopologyFile::parse(&folder.path().join("topology.toml"), text).unwrap();
    (folder, file)
}

fn record(fields: &str) -> String {
    format!(r#"{{"type":"record","name":"Seen","namespace":"bank","fields":[{fields}]}}"#)
}

#[test]
fn schemas_are_checked_against_their_history() {
    fn check(schema: &str, history: &[&str], expect: &str) {
        let (_folder, file) = project(schema, history);
        let found = file.check_schemas().to_string();
        match expect {
            "" => assert_eq!(found, ""),
            part => assert!(found.contains(part), "expected {part}, found {found}"),
        }
    }
    let one = record(r#"{"name":"id","type":"string"}"#);
    let two = record(
        r#"{"name":"id","type":"string"},{"name":"note","type":["null","string"],"default":null}"#,
    );
    let no_default = record(r#"{"name":"id","type":"string"},{"name":"note","type":"string"}"#);
    let pretty = one.replace(',', ",\n  ");
    let third = record(r#"{"name":"note","type":["null","string"],"default":null}"#);
    check(&one, &[&one], "");
    check(&pretty, &[&one], "");
    check(&two, &[&one, &two], "");
    check(&one, &[], "expected 1.avsc, the schema as first registered");
    check(&two, &[&one], "commit the schema as 2.avsc");
    check(&no_default, &[&one, &no_default], "cannot read records of this version");
    check(&no_default, &[&third, &no_default], "1.avsc: the declared schema of `seen` cannot read");
    check("{", &[], "is not JSON");
    check(r#"{"type":"recrod"}"#, &[], "is not an Avro schema");
    check(&one.replace("Seen", "Saw"), &[], "defines `bank.Saw`, expected `bank.Seen`");
}

#[test]
fn a_gap_in_the_history_is_found() {
    let one = record(r#"{"name":"id","type":"string"}"#);
    let (folder, file) = project(&one, &[&one]);
    let past = folder.path().join("schemas/history/seen-value");
    std::fs::rename(past.join("1.avsc"), past.join("2.avsc")).unwrap();
    assert!(file.check_schemas().to_string().contains("expected 1.avsc, which is missing"));
}

#[test]
fn a_missing_schema_is_named_with_its_file() {
    let one = record(r#"{"name":"id","type":"string"}"#);
    let (folder, file) = project(&one, &[&one]);
    std::fs::remove_file(folder.path().join("schemas/avro/bank.Seen.avsc")).unwrap();
    let found = file.check_schemas().to_string();
    assert!(found.contains("topology.toml:5: topics.seen.value: cannot read"), "{found}");
}
