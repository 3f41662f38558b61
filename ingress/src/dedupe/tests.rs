use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::metrics::Metrics;

const HOUR_MS: i64 = 3_600_000;

fn dedupe(window_ms: i64, ids_max: usize) -> (Arc<Dedupe>, DedupeMetrics) {
    let metrics = Metrics::new().unwrap().dedupe;
    (Dedupe::new(window_ms, ids_max, metrics.clone()), metrics)
}

fn key(id: &str) -> EventKey {
    EventKey::new("up", id)
}

fn print(body: u8) -> BodyPrint {
    BodyPrint(u64::from(body))
}

fn accept(dedupe: &Arc<Dedupe>, id: &str, body: u8, now: i64) {
    match dedupe.claim(key(id), print(body), now) {
        Claim::New(ticket, _) => ticket.accepted(),
        other => panic!("{id} should be new, is {other:?}"),
    }
}

fn name(claim: &Claim) -> &'static str {
    match claim {
        Claim::New(..) => "new",
        Claim::InFlight(_) => "in flight",
        Claim::Known => "known",
        Claim::Conflict => "conflict",
    }
}

#[test]
fn an_accepted_event_is_known_and_another_body_of_its_id_conflicts() {
    let (dedupe, _) = dedupe(HOUR_MS, 10);
    accept(&dedupe, "a", 1, 0);
    assert_eq!(name(&dedupe.claim(key("a"), print(1), 5)), "known");
    assert_eq!(name(&dedupe.claim(key("a"), print(2), 5)), "conflict");
    assert_eq!(name(&dedupe.claim(EventKey::new("stripe", "a"), print(1), 5)), "new");
}

#[test]
fn another_body_that_another_replica_took_in_the_same_moment_is_counted_and_each_keeps_its_own() {
    let replicas = [1, 2].map(|body| {
        let (dedupe, metrics) = dedupe(HOUR_MS, 10);
        accept(&dedupe, "a", body, 0);
        (dedupe, metrics, body)
    });
    for (dedupe, metrics, own) in replicas {
        // Both read both records.
        for body in [1, 2] {
            dedupe.observe(key("a"), print(body), 0);
        }
        assert_eq!(metrics.raw_duplicates.get(), 1);
        assert_eq!(name(&dedupe.claim(key("a"), print(own), 5)), "known");
        assert_eq!(name(&dedupe.claim(key("a"), print(3 - own), 5)), "conflict");
    }
}

#[test]
fn source_and_id_do_not_run_into_each_other() {
    assert_ne!(EventKey::new("ab", "c"), EventKey::new("a", "bc"));
}

#[tokio::test]
async fn everybody_who_waits_shares_the_one_fate() {
    for fate in [Fate::Accepted, Fate::Failed] {
        let (dedupe, _) = dedupe(HOUR_MS, 10);
        let Claim::New(ticket, first) = dedupe.claim(key("a"), print(1), 0) else { panic!("new") };
        let Claim::InFlight(second) = dedupe.claim(key("a"), print(1), 0) else {
            panic!("in flight")
        };
        assert_eq!(name(&dedupe.claim(key("a"), print(2), 0)), "conflict");
        match fate {
            Fate::Accepted => ticket.accepted(),
            Fate::Failed => ticket.failed(),
        }
        assert_eq!((first.fate().await, second.fate().await), (fate, fate));
    }
}

#[test]
fn requests_that_wait_for_a_fate_no_longer_take_no_memory() {
    let (dedupe, _) = dedupe(HOUR_MS, 10);
    let Claim::New(_ticket, _) = dedupe.claim(key("a"), print(1), 0) else { panic!("new") };
    let Claim::InFlight(_waits) = dedupe.claim(key("a"), print(1), 0) else { panic!("in flight") };
    for _ in 0..10_000 {
        assert_eq!(name(&dedupe.claim(key("a"), print(1), 0)), "in flight");
    }
    match dedupe.lock().find(key("a")) {
        Some(Seen::Pending(_, waiters)) => assert!(waiters.len() < 10, "{}", waiters.len()),
        _ => panic!("should be on its way"),
    }
}

#[tokio::test]
async fn a_ticket_that_is_lost_fails_and_its_event_may_come_again() {
    let (dedupe, _) = dedupe(HOUR_MS, 10);
    let Claim::New(ticket, first) = dedupe.claim(key("a"), print(1), 0) else { panic!("new") };
    drop(ticket);
    assert_eq!(first.fate().await, Fate::Failed);
    accept(&dedupe, "a", 1, 1);
}

#[test]
fn an_event_read_from_the_topic_is_known_and_a_second_record_of_it_is_counted() {
    let (dedupe, metrics) = dedupe(HOUR_MS, 10);
    accept(&dedupe, "ours", 1, 0);
    for id in ["ours", "theirs"] {
        dedupe.observe(key(id), print(1), 0);
        assert_eq!(name(&dedupe.claim(key(id), print(1), 5)), "known");
    }
    assert_eq!(metrics.raw_duplicates.get(), 0);
    dedupe.observe(key("ours"), print(1), 0);
    assert_eq!(metrics.raw_duplicates.get(), 1);
}

#[test]
fn an_event_that_landed_although_it_failed_is_known_once_it_is_read() {
    let (dedupe, _) = dedupe(HOUR_MS, 10);
    let Claim::New(ticket, _) = dedupe.claim(key("a"), print(1), 0) else { panic!("new") };
    ticket.failed();
    dedupe.observe(key("a"), print(1), 0);
    assert_eq!(name(&dedupe.claim(key("a"), print(1), 5)), "known");
}

#[test]
fn the_oldest_are_forgotten_when_there_are_too_many_and_that_is_counted() {
    let (dedupe, metrics) = dedupe(10 * HOUR_MS, 3);
    for (id, hour) in [("a", 1), ("b", 0), ("c", 1), ("d", 2)] {
        dedupe.observe(key(id), print(1), hour * HOUR_MS);
    }
    assert_eq!((metrics.evicted.get(), metrics.ids.get()), (1, 3));
    // What happened at the same time is forgotten at the same time.
    dedupe.observe(key("e"), print(1), 2 * HOUR_MS);
    assert_eq!((metrics.evicted.get(), metrics.ids.get()), (3, 2));
    let known = |id| name(&dedupe.claim(key(id), print(1), 2 * HOUR_MS)) == "known";
    assert_eq!(["a", "b", "c", "d", "e"].map(known), [false, false, false, true, true]);
}

#[test]
fn an_id_takes_little_more_than_24_bytes() {
    let (dedupe, _) = dedupe(HOUR_MS, 1_000_000);
    for id in 0..200_000_u32 {
        dedupe.observe(EventKey::new("up", &id.to_string()), print(1), i64::from(id));
    }
    let bytes = dedupe.lock().bytes();
    assert!((200_000 * 24..200_000 * 30).contains(&bytes), "{bytes}");
    dedupe.claim(key("last"), print(1), 3 * HOUR_MS);
    for id in 0..300 {
        dedupe.observe(key(&format!("more {id}")), print(1), 3 * HOUR_MS);
    }
    // What is too old is not only unknown but gone.
    let bytes = dedupe.lock().bytes();
    assert!(bytes < 2_000_000, "{bytes}");
}

#[test]
fn a_pause_of_any_length_brings_nothing_back() {
    for pause_days in [1, 5, 6, 11, 12, 22, 23, 45, 46, 91, 400] {
        let (dedupe, _) = dedupe(24 * HOUR_MS, 1_000);
        let start = 1_772_501_000_000;
        for id in ["a", "b", "c"] {
            accept(&dedupe, id, 1, start);
        }
        let later = start + (pause_days * 24 + 1) * HOUR_MS;
        for id in ["a", "b", "c"] {
            let claim = name(&dedupe.claim(key(id), print(1), later));
            assert_eq!(claim, "new", "{id} after {pause_days} days");
        }
        accept(&dedupe, "a", 1, later);
        assert_eq!(name(&dedupe.claim(key("a"), print(1), later)), "known");
    }
}

proptest! {
    #[test]
    fn an_event_is_known_through_its_window_and_new_a_minute_after_for_any_order(
        events in prop::collection::vec((0_u8..20, 0_i64..50 * HOUR_MS), 1..60),
    ) {
        let window = 7 * HOUR_MS;
        let (dedupe, metrics) = dedupe(window, 1_000);
        let mut model = BTreeMap::new();
        let mut latest = 0;
        for (id, at) in events {
            dedupe.observe(key(&id.to_string()), print(1), at);
            model.entry(id).or_insert(at);
            latest = latest.max(at);
        }
        prop_assert_eq!(usize::try_from(metrics.ids.get()).unwrap(), model.len());
        for (id, at) in model {
            let claim = dedupe.claim(key(&id.to_string()), print(1), latest);
            if at >= latest - window {
                prop_assert_eq!(name(&claim), "known", "of {} at {}", at, latest);
            }
            if at < latest - window - 60_000 {
                prop_assert_eq!(name(&claim), "new", "of {} at {}", at, latest);
            }
        }
    }
}
