//! What exactly-once promises, through the driver.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use super::{Copy, Order, OrderError, order, pipe, texts};
use crate::{
    AsyncOptions, AsyncProcessor, Begin, Context, DedupeStore, Effects, Guarantee, Processor,
    Punctuation, Record, Sink, Store, Topology, testing::TestDriver,
};

fn copier() -> (TestDriver, Store<String, u32>) {
    let mut builder = Topology::builder("copier");
    let mut sub = builder.sub_topology("copy", Effects::None);
    let source = sub.source("in", "in");
    let (seen, out) = (sub.store("seen"), sub.sink("out", "out"));
    let (store, sink) = (seen.clone(), out.clone());
    let failures = Arc::new(AtomicU32::new(0));
    sub.processor("copy", &source, move || Copy {
        seen: store.clone(),
        out: sink.clone(),
        failures: Arc::clone(&failures),
    })
    .stores([seen.id()])
    .sinks([out.id()]);
    let topology = builder.build().unwrap();
    (TestDriver::with_guarantee(topology, Guarantee::ExactlyOnce).unwrap(), seen)
}

#[test]
fn outputs_and_offsets_appear_together() {
    let (mut driver, seen) = copier();
    driver.hold_commits();
    pipe(&mut driver, "k", "a");
    assert_eq!(texts(&mut driver, "out"), [""; 0], "nothing before the commit");
    assert_eq!(driver.committed("in"), Some(0));
    driver.restart().unwrap();
    assert_eq!(texts(&mut driver, "out"), ["a"]);
    assert_eq!(driver.committed("in"), Some(1));
    assert_eq!(driver.store(&seen).get(&"k".to_owned()), Some(1), "counted once");
}

#[test]
fn aborted_transaction_takes_its_state_back_and_handles_its_records_again() {
    let (mut driver, seen) = copier();
    pipe(&mut driver, "k", "a");
    driver.abort_next_commit();
    pipe(&mut driver, "k", "b");
    pipe(&mut driver, "k", "never");
    pipe(&mut driver, "k", "c");
    assert_eq!(texts(&mut driver, "out"), ["a", "b", "c"], "each once, in order");
    assert_eq!(driver.store(&seen).get(&"k".to_owned()), Some(3));
    assert_eq!(driver.dead_letters().len(), 1);
    assert_eq!(driver.committed("in"), Some(4));
    driver.restart().unwrap();
    assert_eq!(driver.store(&seen).get(&"k".to_owned()), Some(3), "as its changelog says");
}

struct Ask {
    calls: Arc<AtomicU32>,
    out: Sink<String, Order>,
}

impl AsyncProcessor for Ask {
    type Key = String;
    type Value = Order;
    type Request = String;
    type Answer = String;
    type Error = OrderError;

    fn begin(
        &mut self,
        _ctx: &mut Context<'_>,
        record: &Record<String, Order>,
    ) -> Result<Begin<String>, OrderError> {
        Ok(Begin::Call(record.value.text.clone()))
    }

    fn call(
        &self,
        request: String,
    ) -> impl Future<Output = Result<String, OrderError>> + Send + 'static {
        let number = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        async move { Ok(format!("{request} {number}")) }
    }

    fn complete(
        &mut self,
        ctx: &mut Context<'_>,
        record: &Record<String, Order>,
        answer: String,
    ) -> Result<(), OrderError> {
        Ok(ctx.forward(&self.out, &record.key, &order(&answer))?)
    }
}

#[test]
fn answers_outlive_an_aborted_transaction() {
    let calls = Arc::new(AtomicU32::new(0));
    let mut builder = Topology::builder("asker");
    let mut sub = builder.sub_topology("ask", Effects::Read);
    let source = sub.source("in", "in");
    let out = sub.sink("out", "out");
    let (counted, sink) = (Arc::clone(&calls), out.clone());
    let supplier = move || Ask { calls: Arc::clone(&counted), out: sink.clone() };
    sub.async_processor("ask", &source, supplier, AsyncOptions::default()).sinks([out.id()]);
    let topology = builder.build().unwrap();
    let mut driver = TestDriver::with_guarantee(topology, Guarantee::ExactlyOnce).unwrap();
    driver.abort_next_commit();
    pipe(&mut driver, "k", "a");
    pipe(&mut driver, "l", "b");
    assert_eq!(texts(&mut driver, "out"), ["a 1", "b 2"]);
    assert_eq!(calls.load(Ordering::SeqCst), 2, "asked once each, abort or not");
}

/// Drops repeats; says the time when stream time passes a minute, where that is asked for.
pub(super) struct Once {
    pub(super) seen: DedupeStore,
    pub(super) out: Sink<String, Order>,
}

impl Processor for Once {
    type Key = String;
    type Value = Order;
    type Error = OrderError;

    fn process(
        &mut self,
        ctx: &mut Context<'_>,
        record: &Record<String, Order>,
    ) -> Result<(), OrderError> {
        if ctx.first_sight(&self.seen, &record.value.text, record.timestamp)? {
            ctx.forward(&self.out, &record.key, &record.value)?;
        }
        Ok(())
    }

    fn punctuate(&mut self, ctx: &mut Context<'_>) -> Result<(), OrderError> {
        let is_stream_time = ctx.punctuation() == Some(Punctuation::StreamTime);
        let text = if is_stream_time { "minute" } else { "wall clock" };
        Ok(ctx.forward(&self.out, &"time".to_owned(), &order(text))?)
    }
}

fn once(guarantee: Guarantee) -> (TestDriver, DedupeStore) {
    let mut builder = Topology::builder("once");
    let mut sub = builder.sub_topology("once", Effects::None);
    let source = sub.source("in", "in");
    let seen = sub.dedupe_store("seen", Duration::from_hours(8));
    let out = sub.sink("out", "out");
    let (store, sink) = (seen.clone(), out.clone());
    sub.processor("once", &source, move || Once { seen: store.clone(), out: sink.clone() })
        .stores([seen.id()])
        .sinks([out.id()])
        .punctuate_on_stream_time(Duration::from_mins(1));
    (TestDriver::with_guarantee(builder.build().unwrap(), guarantee).unwrap(), seen)
}

#[test]
fn repeats_are_dropped_across_aborts_and_restarts_and_forgotten_after_the_window() {
    for guarantee in [Guarantee::ExactlyOnce, Guarantee::AtLeastOnce] {
        let (mut driver, seen) = once(guarantee);
        driver.abort_next_commit();
        pipe(&mut driver, "k", "a");
        pipe(&mut driver, "k", "a");
        driver.restart().unwrap();
        pipe(&mut driver, "k", "a");
        assert_eq!(texts(&mut driver, "out"), ["a"], "{guarantee:?}");
        assert_eq!(driver.remembered(&seen), 1);
        driver.skip(Duration::from_hours(10));
        pipe(&mut driver, "k", "b");
        assert_eq!(driver.remembered(&seen), 1, "the bucket of `a` is gone");
        pipe(&mut driver, "k", "a");
        assert_eq!(driver.remembered(&seen), 2, "and `a` is new again");
    }
}

#[test]
fn crash_before_the_commit_does_not_forget_that_an_id_was_not_counted() {
    let (mut driver, _) = once(Guarantee::AtLeastOnce);
    driver.hold_commits();
    pipe(&mut driver, "k", "a");
    driver.restart().unwrap();
    let found = texts(&mut driver, "out");
    assert!(found.iter().all(|text| text == "a") && !found.is_empty(), "{found:?}");
}

#[test]
fn stream_time_punctuates_at_the_records_that_pass_it() {
    let (mut driver, _) = once(Guarantee::ExactlyOnce);
    pipe(&mut driver, "k", "a");
    driver.advance(Duration::from_mins(5));
    assert_eq!(texts(&mut driver, "out"), ["a"], "the wall clock does not matter");
    driver.abort_next_commit();
    pipe(&mut driver, "k", "b");
    assert_eq!(texts(&mut driver, "out"), ["b", "minute"], "once, though five have passed");
    driver.restart().unwrap();
    pipe(&mut driver, "k", "c");
    assert_eq!(texts(&mut driver, "out"), ["c"], "a restart goes on from the committed time");
    driver.skip(Duration::from_mins(1));
    pipe(&mut driver, "k", "d");
    assert_eq!(texts(&mut driver, "out"), ["d", "minute"]);
}
