use super::*;
use crate::dedupe::snapshot::Mark;
use crate::dedupe::{EventKey, Frame};

fn mark(offset: i64) -> Mark {
    Mark { offset, time: 1, event: Some(EventKey::new("up", "ab")) }
}

fn header() -> Header {
    let frame = Frame { bucket_ms: 60_000, first: 1, ids_max: 100, evicted_to: 0 };
    let positions = vec![
        Position { partition: 0, next: 10, last: Some(mark(9)) },
        Position { partition: 1, next: 0, last: None },
    ];
    let topic = WEBHOOKS_RECEIVED.to_owned();
    Header { cluster: "c".to_owned(), topic, written_at: 5_000, since: 1_000, frame, positions }
}

fn wanted() -> Wanted {
    let bounds = |partition, low, high| Bounds { partition, low, high };
    let partitions = vec![bounds(0, 0, 12), bounds(1, 0, 0)];
    Wanted { cluster: "c".to_owned(), now: 6_000, since: 2_000, ids_max: 100, partitions }
}

#[test]
fn a_fitting_snapshot_is_gone_on_from_at_its_last_records() {
    let first = Start { partition: 0, first: 9, end: 12, proof: Some(mark(9)), last: None };
    let second = Start { partition: 1, first: 0, end: 0, proof: None, last: None };
    assert_eq!(judge(&header(), 100, &wanted()), Ok(vec![first, second]));
}

#[test]
fn a_last_record_that_is_past_its_retention_proves_nothing_and_hinders_nothing() {
    let mut wanted = wanted();
    wanted.partitions[0].low = 10;
    let first = Start { partition: 0, first: 10, end: 12, proof: None, last: Some(mark(9)) };
    assert_eq!(judge(&header(), 1, &wanted).unwrap()[0], first);
}

#[test]
fn a_snapshot_that_does_not_fit_is_not_used() {
    #[track_caller]
    fn check(expect: Unfit, change: impl Fn(&mut Header, &mut Wanted)) {
        let (mut header, mut wanted) = (header(), wanted());
        change(&mut header, &mut wanted);
        assert_eq!(judge(&header, 100, &wanted), Err(expect));
    }
    check(Unfit::Cluster("c".into()), |_, wanted| wanted.cluster = "d".into());
    check(Unfit::Topic("t".into()), |header, _| header.topic = "t".into());
    check(Unfit::Partitions, |header, _| header.positions.truncate(1));
    check(Unfit::Partitions, |header, _| header.positions[1].partition = 7);
    check(Unfit::BeyondEnd { partition: 0, next: 10, high: 9 }, |_, wanted| {
        wanted.partitions[0].high = 9;
    });
    check(Unfit::BelowStart { partition: 0, next: 10, low: 11 }, |_, wanted| {
        wanted.partitions[0].low = 11;
    });
    check(Unfit::Future(AHEAD_MS_MAX + 1), |header, wanted| {
        header.written_at = wanted.now + AHEAD_MS_MAX + 1;
    });
    check(Unfit::Window, |_, wanted| wanted.since = 999);
    check(Unfit::Room(99), |header, _| {
        header.frame.ids_max = 99;
        header.frame.evicted_to = 2_001;
    });
    check(Unfit::Ids(100), |_, wanted| wanted.ids_max = 99);
}
