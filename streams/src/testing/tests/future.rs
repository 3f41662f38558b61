//! A record with a time of the far future, by mistake or on purpose.

use std::time::Duration;

use super::{order, texts, transactions::Once};
use crate::{DedupeStore, Effects, Topology, testing::TestDriver};

const WINDOW: Duration = Duration::from_hours(16);
const CENTURY_MS: i64 = 100 * 365 * 24 * 60 * 60 * 1_000;

fn once() -> (TestDriver, DedupeStore) {
    let mut builder = Topology::builder("once");
    let mut sub = builder.sub_topology("once", Effects::None);
    let source = sub.source("in", "in");
    let (seen, out) = (sub.dedupe_store("seen", WINDOW), sub.sink("out", "out"));
    let (store, sink) = (seen.clone(), out.clone());
    let supplier = move || Once { seen: store.clone(), out: sink.clone() };
    sub.processor("once", &source, supplier).stores([seen.id()]).sinks([out.id()]);
    (TestDriver::new(builder.build().unwrap()).unwrap(), seen)
}

fn pipe_at(driver: &mut TestDriver, text: &str, timestamp: i64) {
    driver.pipe_at("in", &"k".to_owned(), &order(text), timestamp).unwrap();
}

#[test]
fn record_from_the_far_future_makes_no_dedupe_store_forget_and_is_forgotten_in_its_turn() {
    let (mut driver, seen) = once();
    let began = driver.now();
    pipe_at(&mut driver, "a", began);
    pipe_at(&mut driver, "hostile", began + CENTURY_MS);
    for text in ["a", "hostile", "b", "b"] {
        pipe_at(&mut driver, text, began);
    }
    assert_eq!(texts(&mut driver, "out"), ["a", "hostile", "b"], "each once");
    assert_eq!(driver.remembered(&seen), 3);

    // A restart takes its stream time from what is committed, which is a century ahead.
    driver.restart().unwrap();
    driver.advance(Duration::from_hours(14));
    let now = driver.now();
    for text in ["a", "hostile", "b"] {
        pipe_at(&mut driver, text, now);
    }
    assert_eq!(texts(&mut driver, "out"), [""; 0], "seven eighths of the window later");

    driver.advance(Duration::from_hours(6));
    let now = driver.now();
    pipe_at(&mut driver, "c", now);
    assert_eq!(driver.remembered(&seen), 1, "20 hours later the others are forgotten");
}
