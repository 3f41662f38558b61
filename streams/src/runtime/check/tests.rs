use std::{path::Path, time::Duration};

use apache_avro::{AvroSchema, Schema};
use serde::{Deserialize, Serialize};

use super::{against_cluster, against_file};
use crate::{
    Context, Effects, Fault, Processor, Record, Topology, admin::TopicState, names::Names,
    topology_file::TopologyFile,
};

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Move {
    id: String,
}

impl AvroSchema for Move {
    fn get_schema() -> Schema {
        Schema::parse_str(
            r#"{"type":"record","name":"Move","fields":[{"name":"id","type":"string"}]}"#,
        )
        .unwrap()
    }
}

struct Ignore;

impl Processor for Ignore {
    type Key = String;
    type Value = Move;
    type Error = Fault;

    fn process(&mut self, _: &mut Context<'_>, _: &Record<String, Move>) -> Result<(), Fault> {
        Ok(())
    }
}

const HOUR: Duration = Duration::from_hours(1);

/// A program that reads `moves`, writes `drops`, counts in `jar` and remembers ids in `seen`.
fn program() -> Topology {
    let mut builder = Topology::builder("dropper");
    let mut sub = builder.sub_topology("decide", Effects::None);
    let moves = sub.source("moves", "moves");
    let drops = sub.sink::<String, Move>("drops", "drops").id();
    let jar = sub.store::<String, u32>("jar").id();
    let seen = sub.dedupe_store("seen", 24 * HOUR).id();
    sub.processor("decide", &moves, || Ignore).stores([jar, seen]).sinks([drops]);
    builder.build().unwrap()
}

const FILE: &str = r#"
[topics.moves]
partitions = 1
retention = "30d"
key = "account id"
value = "bank.Move"

[topics.drops]
partitions = 1
retention = "30d"
key = "drop id"
value = "coin.Drop"

[apps.dropper]
guarantee = "exactly_once"
dead_letters = "dropper-dlq"

[apps.dropper.sub_topologies.decide]
reads = ["moves"]
writes = ["drops"]
stores = ["jar"]
dedupe_stores = { seen = "1d" }
effects = "none"

[profiles]
"#;

/// What is said when `from` of the fitting declaration is `to` instead; nothing when it fits.
fn said(from: &str, to: &str) -> String {
    assert!(FILE.contains(from), "the file has no {from}");
    let text = FILE.replacen(from, to, 1);
    let file = TopologyFile::parse(Path::new("topology.toml"), &text).unwrap();
    against_file(&program(), &file).map_or_else(|error| error.to_string(), |()| String::new())
}

#[test]
fn a_program_that_differs_from_its_declaration_is_told_where_and_how() {
    fn check(from: &str, to: &str, expect: &str) {
        let place = "[apps.dropper.sub_topologies.decide] of topology.toml declares";
        let todo = "run the version of the program that the file is for, or change the file and run \
                    `bankstream topology apply`";
        assert_eq!(said(from, to), format!("{place} {expect}; {todo}"));
    }
    assert_eq!(said("effects", "effects"), "");
    check(
        "reads = [\"moves\"]",
        "reads = [\"drops\"]",
        r#"reads {"drops"}; the program has {"moves"}"#,
    );
    check("writes = [\"drops\"]", "", r#"writes {}; the program has {"drops"}"#);
    check("stores = [\"jar\"]", "", r#"stores {}; the program has {"jar"}"#);
    check("effects = \"none\"", "effects = \"read\"", "effects read; the program has none");
    check(
        "dedupe_stores = { seen = \"1d\" }",
        "",
        r#"dedupe stores {}; the program has {"seen for 1d"}"#,
    );
    check(
        "seen = \"1d\"",
        "seen = \"2d\"",
        r#"dedupe stores {"seen for 2d"}; the program has {"seen for 1d"}"#,
    );
    // ids in a key-value store would be kept for good, and the other way round be forgotten
    check(
        "stores = [\"jar\"]\ndedupe_stores = { seen = \"1d\" }",
        "stores = [\"jar\", \"seen\"]",
        r#"stores {"jar", "seen"}; the program has {"jar"}"#,
    );
}

#[test]
fn a_sub_topology_that_is_not_declared_is_refused() {
    assert_eq!(
        said("sub_topologies.decide", "sub_topologies.choose"),
        "`dropper` runs sub-topology `decide`, which topology.toml does not declare under \
         [apps.dropper.sub_topologies]; declare it there and run `bankstream topology apply`, or run the \
         version of the program that the file is for"
    );
}

/// What is said of a cluster with these topics.
fn said_of(topics: &[(&str, i32)]) -> String {
    let topics = topics.iter().map(|(name, partitions)| {
        let name = (*name).to_owned();
        (name.clone(), TopicState { name, partitions: *partitions, replication: 1 })
    });
    let names = Names::default();
    let found = against_cluster(&program(), &names, &topics.collect());
    found.map_or_else(|error| error.to_string(), |()| String::new())
}

#[test]
fn a_cluster_that_does_not_fit_is_said_with_what_to_do() {
    let fits = [
        ("moves", 2),
        ("drops", 5),
        ("dropper-dlq", 1),
        ("dropper-jar-changelog", 2),
        ("dropper-seen-changelog", 2),
    ];
    assert_eq!(said_of(&fits), "");
    for missing in 0..fits.len() {
        let mut there = fits.to_vec();
        let (topic, _) = there.remove(missing);
        assert_eq!(
            said_of(&there),
            format!(
                "topic `{topic}` is not on the cluster; run `bankstream topology apply`, or make it \
                 yourself where it is not declared"
            )
        );
    }
    let mut uneven = fits.to_vec();
    uneven[3].1 = 1;
    let said = said_of(&uneven);
    let words = [
        "`dropper-jar-changelog` has 1 partitions on the cluster and `moves` has 2; sub-topology `decide` \
         reads them together and needs equal counts; while both are empty, give the one with fewer as many",
        "begin anew (delete the state directory, the changelogs and the group's offsets, then `bankstream \
         topology apply`)",
    ];
    assert!(words.iter().all(|words| said.contains(words)), "{said}");
}
