use std::collections::BTreeMap;
use std::path::Path;

use streams::admin::{TopicSetting, TopicState};
use streams::topology_file::{DeclaredSchema, TopicSpec, TopologyFile};

use super::{Live, LiveSubject, Plan};

const FILE: &str = r#"
[topics.moves]
partitions = 6
retention = "30d"
key = "account id"
value = "bank.MoveSeen"

[apps.door]
writes = ["moves"]

[apps.dropper]
guarantee = "at_least_once"
dead_letters = "dropper-dlq"

[apps.dropper.sub_topologies.decide]
reads = ["moves"]
stores = ["seen"]
dedupe_stores = { ids = "7d" }
effects = "none"

[profiles.testing]
replication = 1
min_insync_replicas = 1
max_message_bytes = 1000000
commit_interval = "100ms"
session_timeout = "10s"
"#;

fn topics() -> Vec<TopicSpec> {
    let file = TopologyFile::parse(Path::new("topology.toml"), FILE).unwrap();
    file.topics_for(file.profile("testing").unwrap())
}

fn schema() -> DeclaredSchema {
    let text = r#"{"type":"record","name":"MoveSeen","fields":[]}"#;
    let folder = tempfile::tempdir().unwrap();
    let avro = folder.path().join("schemas/avro");
    std::fs::create_dir_all(&avro).unwrap();
    std::fs::write(avro.join("bank.MoveSeen.avsc"), text.replace("MoveSeen", "bank.MoveSeen"))
        .unwrap();
    let file = TopologyFile::parse(&folder.path().join("topology.toml"), FILE).unwrap();
    file.schema_of("moves").unwrap()
}

/// A cluster and a registry that are as declared.
fn sound() -> Live {
    let state = |topic: &TopicSpec| TopicState {
        name: topic.name.clone(),
        partitions: topic.partitions,
        replication: topic.replication,
    };
    let settings = |topic: &TopicSpec| {
        let setting = |value: &String| TopicSetting { value: value.clone(), is_own: true };
        let pairs = topic.configs.iter().map(|(key, value)| ((*key).to_owned(), setting(value)));
        pairs.collect::<BTreeMap<_, _>>()
    };
    let subject = LiveSubject {
        compatibility: Some("BACKWARD_TRANSITIVE".to_owned()),
        versions: 1,
        is_registered: true,
        refusal: None,
    };
    Live {
        topics: topics().iter().map(|topic| (topic.name.clone(), state(topic))).collect(),
        settings: topics().iter().map(|topic| (topic.name.clone(), settings(topic))).collect(),
        subjects: BTreeMap::from([("moves-value".to_owned(), subject)]),
    }
}

fn plan(live: &Live) -> Plan {
    Plan::between(&topics(), &[schema()], live, "localhost:9092")
}

#[test]
fn nothing_is_planned_when_all_is_as_declared() {
    let plan = plan(&sound());
    assert!(plan.is_empty());
    assert_eq!(plan.to_string(), "nothing to do: cluster and registry are as declared");
}

#[test]
fn an_empty_cluster_gets_everything() {
    insta::assert_snapshot!(plan(&Live::default()), @r"
      + create topic dropper-dlq: 6 partitions, replication 1, cleanup.policy=delete, max.message.bytes=1065536, min.insync.replicas=1, retention.ms=7776000000
      + create topic dropper-ids-changelog: 6 partitions, replication 1, cleanup.policy=delete, max.message.bytes=1000000, min.insync.replicas=1, retention.ms=842400000
      + create topic dropper-seen-changelog: 6 partitions, replication 1, cleanup.policy=compact, delete.retention.ms=604800000, max.message.bytes=1000000, min.compaction.lag.ms=86400000, min.insync.replicas=1
      + create topic moves: 6 partitions, replication 1, cleanup.policy=delete, max.message.bytes=1000000, min.insync.replicas=1, retention.ms=2592000000
      + set compatibility of moves-value to BACKWARD_TRANSITIVE (now none of its own)
      + register schema of moves-value as version 1
    6 to apply, 0 by hand
    ");
}

#[test]
fn what_could_lose_records_is_left_to_a_person() {
    let mut live = sound();
    live.topics.get_mut("moves").unwrap().partitions = 3;
    live.topics.get_mut("dropper-dlq").unwrap().replication = 3;
    let seen = live.settings.get_mut("dropper-seen-changelog").unwrap();
    seen.get_mut("cleanup.policy").unwrap().value = "delete".to_owned();
    let plan = plan(&live);
    assert!(!plan.is_blocked());
    insta::assert_snapshot!(plan, @r"
      ! dropper-dlq has replication 3, declared 1
          kafka-reassign-partitions.sh --bootstrap-server localhost:9092 --execute --reassignment-json-file FILE
      ! dropper-seen-changelog has cleanup.policy delete, declared compact
          the broker would begin to remove records by the other rule; when they may go: kafka-configs.sh --bootstrap-server localhost:9092 --alter --entity-type topics --entity-name dropper-seen-changelog --add-config cleanup.policy=compact
      ! moves has 3 partitions, declared 6
          keys would move to other partitions: declare a new version of the topic instead
    0 to apply, 3 by hand
    ");
}

#[test]
fn settings_that_differ_are_altered_topic_by_topic() {
    let mut live = sound();
    let moves = live.settings.get_mut("moves").unwrap();
    moves.get_mut("retention.ms").unwrap().value = "1000".to_owned();
    moves.remove("max.message.bytes");
    insta::assert_snapshot!(plan(&live), @r"
      + alter moves: max.message.bytes=1000000 (now not set), retention.ms=2592000000 (now 1000)
    1 to apply, 0 by hand
    ");
}

#[test]
fn a_schema_that_cannot_read_the_old_records_blocks_the_plan() {
    let mut live = sound();
    let subject = live.subjects.get_mut("moves-value").unwrap();
    subject.is_registered = false;
    subject.refusal = Some("type changed".to_owned());
    let plan = plan(&live);
    assert!(plan.is_blocked());
    insta::assert_snapshot!(plan, @r"
      ! moves-value does not take the declared schema: type changed
          give new fields a default, never change a type or a name; or declare a new version of the topic
    0 to apply, 1 by hand
    ");
}

#[test]
fn a_new_version_comes_after_the_compatibility_rule() {
    let mut live = sound();
    let subject = live.subjects.get_mut("moves-value").unwrap();
    subject.is_registered = false;
    subject.compatibility = None;
    insta::assert_snapshot!(plan(&live), @r"
      + set compatibility of moves-value to BACKWARD_TRANSITIVE (now none of its own)
      + register schema of moves-value as version 2
    2 to apply, 0 by hand
    ");
}
