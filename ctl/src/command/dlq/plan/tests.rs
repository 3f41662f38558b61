use std::path::Path;

use streams::topology_file::TopologyFile;

use super::super::letter::testing::letter;
use super::super::receipt::Receipt;
use super::*;

const FILE: &str = r#"
[topics.in]
partitions = 2
retention = "30d"
key = "id"
value = "a.B"

[topics.out]
partitions = 2
retention = "forever"
key = "id"
value = "a.B"

[apps.maker]
writes = ["in", "out"]

[apps.app]
guarantee = "at_least_once"
dead_letters = "app-dlq"

[apps.app.sub_topologies.decide]
reads = ["in"]
writes = []
effects = "none"

[apps.other]
guarantee = "at_least_once"
dead_letters = "other-dlq"

[apps.other.sub_topologies.decide]
reads = ["in", "out"]
writes = []
effects = "none"

[profiles.testing]
replication = 1
min_insync_replicas = 1
max_message_bytes = 1_114_112
commit_interval = "100ms"
session_timeout = "10s"
"#;

/// 30 days, in milliseconds.
const KEPT: Timestamp = 30 * 86_400_000;

fn file() -> TopologyFile {
    TopologyFile::parse(Path::new("topology.toml"), FILE).unwrap()
}

fn places(file: &TopologyFile, now: Timestamp) -> Places<'_> {
    let partitions = BTreeMap::from([("in".to_owned(), 2), ("out".to_owned(), 2)]);
    let redriven = BTreeSet::from([letter(9, "in/0/1").position]);
    Places { file, partitions, redriven, now }
}

fn came_back(mut letter: Letter, exception: &str) -> Letter {
    letter.receipt = Some(Receipt {
        letter: "app-dlq/0/1".to_owned(),
        record: "in/1/3".to_owned(),
        exception: exception.to_owned(),
        attempts: 1,
        redrives: 1,
    });
    letter
}

fn failed(mut letter: Letter, exception: &str, message: &str) -> Letter {
    let reason = letter.reason.as_mut().unwrap();
    exception.clone_into(&mut reason.exception);
    message.clone_into(&mut reason.message);
    letter
}

#[test]
fn what_must_fail_again_is_refused_unless_forced() {
    #[track_caller]
    fn check(letter: &Letter, expect: Verdict, forced: Verdict) {
        let file = file();
        let places = places(&file, KEPT);
        assert_eq!((places.verdict(letter, false), places.verdict(letter, true)), (expect, forced));
    }
    use Verdict::{CameBack, NoPlace, NoReason, Redriven, SameBytes, Send};
    let plain = letter(3, "in/1/17");
    check(&plain, Send, Send);
    check(&failed(plain.clone(), FAULT, "decoding the value: too short"), SameBytes, Send);
    check(&failed(plain.clone(), FAULT, "decoding the key: the key is not UTF-8"), SameBytes, Send);
    check(&failed(plain.clone(), FAULT, "encoding for topic `out`"), Send, Send);
    check(&came_back(plain.clone(), "app::Error"), CameBack, Send);
    check(&came_back(plain.clone(), "app::Other"), Send, Send);
    // no force makes a place of what is none, or sends twice
    check(&letter(9, "in/1/17"), Redriven, Redriven);
    check(&letter(3, "out/1/17"), NoPlace, NoPlace);
    check(&letter(3, "in/2/17"), NoPlace, NoPlace);
    check(&letter(3, "elsewhere/0/17"), NoPlace, NoPlace);
    check(&Letter { reason: None, ..plain }, NoReason, NoReason);
}

#[test]
fn letter_that_its_topic_would_delete_is_refused() {
    #[track_caller]
    fn check(now: Timestamp, expect: Verdict) {
        let file = file();
        // its record is of 0.5 s
        assert_eq!(places(&file, now).verdict(&letter(3, "in/1/17"), false), expect);
    }
    check(KEPT + 499, Verdict::Send);
    check(KEPT + 500, Verdict::TooOld);
}

#[test]
fn limit_counts_what_is_sent_and_takes_the_oldest() {
    let file = file();
    let letters = vec![
        letter(9, "in/1/17"),
        failed(letter(10, "in/1/18"), FAULT, "decoding the value: too short"),
        letter(11, "in/1/19"),
        letter(12, "in/1/20"),
    ];
    let selection = Selection { letters, left_out: 2 };
    let plan = Plan::of(selection, &places(&file, KEPT), false, Some(1));
    let offsets: Vec<i64> = plan.to_send()["app"].iter().map(|position| position.offset).collect();
    assert_eq!(offsets, [11]);
    assert_eq!(plan.kept_back(), 4, "refused, later, left out");
    insta::assert_snapshot!(plan.text(), @r"
    APP  EXCEPTION              TOPIC  LETTERS  VERDICT
    app  app::Error             in     1        to send
    app  app::Error             in     1        later: more than --limit
    app  app::Error             in     1        sent before
    app  streams::fault::Fault  in     1        refused: the same bytes cannot be read better; --force, if the program or the registry was mended
    1 to send, 1 sent before, 1 refused
    in is read by other too
    2 more match: only the oldest 100000 are looked at; --since goes past them
    ");
}
