//! What the runtime promises, one test a promise, through the driver.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use apache_avro::{AvroSchema, Schema};
use serde::{Deserialize, Serialize};

mod clock;
mod future;
mod reach;
mod times;
mod transactions;

use super::TestDriver;
use crate::{
    AsyncOptions, AsyncProcessor, Begin, Classify, Context, Disposition, Effect, Effects, Fault,
    Headers, Outcome, Processor, Record, Sink, Store, Topology, topology,
};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Order {
    text: String,
}

impl AvroSchema for Order {
    fn get_schema() -> Schema {
        Schema::parse_str(
            r#"{"type":"record","name":"Order","fields":[{"name":"text","type":"string"}]}"#,
        )
        .unwrap()
    }
}

fn order(text: &str) -> Order {
    Order { text: text.to_owned() }
}

#[derive(Debug, thiserror::Error)]
enum OrderError {
    #[error("not now")]
    NotNow,
    #[error("not for a minute")]
    NotForAMinute,
    #[error("never")]
    Never,
    #[error("who knows")]
    WhoKnows,
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl Classify for OrderError {
    fn disposition(&self) -> Disposition {
        match self {
            Self::NotNow => Disposition::retry(),
            Self::NotForAMinute => Disposition::wait(Duration::from_mins(1)),
            Self::Never => Disposition::DeadLetter,
            Self::WhoKnows => Disposition::Halt,
            Self::Fault(fault) => fault.disposition(),
        }
    }
}

/// What the text of an order asks for: `not-now` fails while `failures` lasts.
fn obey(text: &str, failures: &AtomicU32) -> Result<(), OrderError> {
    let fails = || failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
    match text {
        "never" => Err(OrderError::Never),
        "who-knows" => Err(OrderError::WhoKnows),
        "not-now" if fails().is_ok() => Err(OrderError::NotNow),
        "not-for-a-minute" if fails().is_ok() => Err(OrderError::NotForAMinute),
        _ => Ok(()),
    }
}

struct Copy {
    seen: Store<String, u32>,
    out: Sink<String, Order>,
    failures: Arc<AtomicU32>,
}

impl Processor for Copy {
    type Key = String;
    type Value = Order;
    type Error = OrderError;

    fn process(
        &mut self,
        ctx: &mut Context<'_>,
        record: &Record<String, Order>,
    ) -> Result<(), OrderError> {
        let count = ctx.get(&self.seen, &record.key)?.unwrap_or_default() + 1;
        ctx.put(&self.seen, &record.key, &count)?;
        ctx.forward(&self.out, &record.key, &record.value)?;
        // Fails last, so that what was written before has to be undone.
        obey(&record.value.text, &self.failures)
    }

    fn punctuate(&mut self, ctx: &mut Context<'_>) -> Result<(), OrderError> {
        let total: u32 = ctx.all(&self.seen)?.iter().map(|(_, count)| count).sum();
        ctx.forward(&self.out, &"total".to_owned(), &order(&total.to_string()))?;
        Ok(())
    }
}

struct Sync {
    driver: TestDriver,
    seen: Store<String, u32>,
}

fn synchronous(failures: u32, every: Option<Duration>) -> Sync {
    let failures = Arc::new(AtomicU32::new(failures));
    let mut builder = Topology::builder("copier");
    let mut sub = builder.sub_topology("copy", Effects::None);
    let source = sub.source("in", "in");
    let (seen, out) = (sub.store("seen"), sub.sink("out", "out"));
    let (store, sink) = (seen.clone(), out.clone());
    let supplier =
        move || Copy { seen: store.clone(), out: sink.clone(), failures: Arc::clone(&failures) };
    let mut node = sub.processor("copy", &source, supplier);
    node.stores([seen.id()]).sinks([out.id()]);
    if let Some(every) = every {
        node.punctuate_every(every);
    }
    Sync { driver: TestDriver::new(builder.build().unwrap()).unwrap(), seen }
}

fn pipe(driver: &mut TestDriver, key: &str, text: &str) {
    driver.pipe("in", &key.to_owned(), &order(text)).unwrap();
}

fn texts(driver: &mut TestDriver, topic: &str) -> Vec<String> {
    let records = driver.read::<String, Order>(topic).unwrap();
    records.into_iter().map(|record| record.value.text).collect()
}

#[test]
fn record_is_copied_and_its_offset_committed() {
    let Sync { mut driver, seen } = synchronous(0, None);
    pipe(&mut driver, "k", "hello");
    let records = driver.read::<String, Order>("out").unwrap();
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].origin().to_string(), "in/0/0");
    assert_eq!(driver.store(&seen).get(&"k".to_owned()), Some(1));
    assert_eq!(driver.committed("in"), Some(1));
}

#[test]
fn poison_goes_to_the_dead_letters_and_the_partition_moves_on() {
    let Sync { mut driver, seen } = synchronous(0, None);
    let mut headers = Headers::new();
    headers.push("kept", "1");
    driver.pipe_bytes("in", Some("k".into()), Some("no frame".into()), headers);
    pipe(&mut driver, "k", "never");
    pipe(&mut driver, "k", "after");

    let letters = driver.dead_letters();
    assert_eq!(letters.len(), 2);
    assert_eq!(letters[0].record.value.as_deref(), Some(b"no frame".as_slice()), "its own bytes");
    assert_eq!(letters[0].record.headers.text("kept"), Some("1"));
    assert_eq!(letters[0].reason.position.to_string(), "in/0/0");
    assert!(letters[0].reason.message.contains("0x6e"), "{}", letters[0].reason.message);
    assert_eq!(letters[1].reason.message, "never");
    assert_eq!(letters[1].reason.place, "copier/copy");
    assert_eq!(texts(&mut driver, "out"), ["after"], "what a failed record wrote is undone");
    assert_eq!(driver.store(&seen).get(&"k".to_owned()), Some(1));
    assert_eq!(driver.committed("in"), Some(3));
}

#[test]
fn failing_record_holds_its_partition_until_it_works() {
    let Sync { mut driver, .. } = synchronous(3, None);
    pipe(&mut driver, "a", "not-now");
    pipe(&mut driver, "b", "after");
    assert_eq!(driver.committed("in"), Some(0));
    driver.advance(Duration::from_secs(10));
    assert_eq!(texts(&mut driver, "out"), ["not-now", "after"], "in order");
    assert_eq!(driver.committed("in"), Some(2));
}

#[test]
fn record_that_fails_too_often_is_dead_lettered_with_its_history() {
    let Sync { mut driver, .. } = synchronous(u32::MAX, None);
    pipe(&mut driver, "a", "not-now");
    let began = driver.now();
    driver.advance(Duration::from_mins(10));
    let letters = driver.dead_letters();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].reason.attempts, 10);
    assert_eq!(letters[0].reason.first_failure_ms, began);
    assert!(letters[0].reason.last_failure_ms > began);
    assert_eq!(driver.committed("in"), Some(1));
}

#[test]
fn waiting_is_not_counted_as_failing() {
    let Sync { mut driver, .. } = synchronous(30, None);
    pipe(&mut driver, "a", "not-for-a-minute");
    driver.advance(Duration::from_mins(29));
    assert!(driver.dead_letters().is_empty());
    assert_eq!(driver.committed("in"), Some(0));
    driver.advance(Duration::from_mins(2));
    assert_eq!(texts(&mut driver, "out"), ["not-for-a-minute"]);
}

#[test]
fn halt_stops_without_committing_and_names_the_record() {
    let Sync { mut driver, .. } = synchronous(0, None);
    pipe(&mut driver, "a", "fine");
    pipe(&mut driver, "a", "who-knows");
    let halt = driver.halted().unwrap().to_string();
    assert_eq!(halt, "copier/copy stopped at in/0/1: who knows");
    assert_eq!(driver.committed("in"), Some(1));
}

#[test]
fn punctuation_comes_by_the_clock() {
    let Sync { mut driver, .. } = synchronous(0, Some(Duration::from_secs(10)));
    pipe(&mut driver, "a", "x");
    driver.advance(Duration::from_secs(9));
    assert_eq!(texts(&mut driver, "out"), ["x"]);
    driver.advance(Duration::from_secs(21));
    assert_eq!(texts(&mut driver, "out"), ["1", "1", "1"]);
}

#[test]
fn crash_before_the_commit_repeats_the_output_and_not_the_count() {
    let Sync { mut driver, seen } = synchronous(0, None);
    pipe(&mut driver, "k", "one");
    driver.hold_commits();
    pipe(&mut driver, "k", "two");
    assert_eq!(driver.store(&seen).get(&"k".to_owned()), Some(2));
    driver.restart().unwrap();
    assert_eq!(driver.store(&seen).get(&"k".to_owned()), Some(2), "not three");
    assert_eq!(texts(&mut driver, "out"), ["one", "two", "two"]);
    assert_eq!(driver.committed("in"), Some(2));
}

/// Calls that answer when they are let.
struct Ask {
    out: Sink<String, Order>,
    failures: Arc<AtomicU32>,
    asked: Arc<Mutex<Vec<String>>>,
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
        let text = record.value.text.clone();
        Ok(if text == "skip" { Begin::Done } else { Begin::Call(text) })
    }

    fn call(
        &self,
        request: String,
    ) -> impl Future<Output = Result<String, OrderError>> + Send + 'static {
        let (failures, asked) = (Arc::clone(&self.failures), Arc::clone(&self.asked));
        async move {
            asked.lock().unwrap().push(request.clone());
            obey(&request, &failures).map(|()| request)
        }
    }

    fn complete(
        &mut self,
        ctx: &mut Context<'_>,
        record: &Record<String, Order>,
        answer: String,
    ) -> Result<(), OrderError> {
        ctx.forward(&self.out, &record.key, &order(&answer))?;
        Ok(())
    }
}

fn asynchronous(failures: u32) -> (TestDriver, Arc<Mutex<Vec<String>>>) {
    let failures = Arc::new(AtomicU32::new(failures));
    let asked = Arc::new(Mutex::new(Vec::new()));
    let mut builder = Topology::builder("asker");
    let mut sub = builder.sub_topology("ask", Effects::Read);
    let source = sub.source("in", "in");
    let out = sub.sink("out", "out");
    let (sink, calls) = (out.clone(), Arc::clone(&asked));
    let supplier = move || Ask {
        out: sink.clone(),
        failures: Arc::clone(&failures),
        asked: Arc::clone(&calls),
    };
    sub.async_processor("ask", &source, supplier, AsyncOptions::default()).sinks([out.id()]);
    (TestDriver::new(builder.build().unwrap()).unwrap(), asked)
}

#[test]
fn slow_key_holds_its_own_records_and_no_others() {
    let (mut driver, _) = asynchronous(1);
    pipe(&mut driver, "slow", "not-for-a-minute");
    pipe(&mut driver, "slow", "behind");
    pipe(&mut driver, "other", "free");
    pipe(&mut driver, "other", "skip");
    assert_eq!(texts(&mut driver, "out"), ["free"]);
    assert_eq!(driver.committed("in"), Some(0), "nothing behind an unfinished record is committed");
    driver.advance(Duration::from_mins(2));
    assert_eq!(texts(&mut driver, "out"), ["not-for-a-minute", "behind"]);
    assert_eq!(driver.committed("in"), Some(4));
}

#[test]
fn call_that_cannot_work_is_dead_lettered_and_its_key_moves_on() {
    let (mut driver, asked) = asynchronous(0);
    pipe(&mut driver, "k", "never");
    pipe(&mut driver, "k", "after");
    assert_eq!(driver.dead_letters().len(), 1);
    assert_eq!(texts(&mut driver, "out"), ["after"]);
    assert_eq!(*asked.lock().unwrap(), ["never", "after"]);
}

struct Tell {
    out: Sink<String, Order>,
    failures: Arc<AtomicU32>,
    told: Arc<Mutex<Vec<String>>>,
}

impl Effect for Tell {
    type Key = String;
    type Value = Order;
    type Answer = String;
    type Error = OrderError;

    fn effect_id(&self, record: &Record<String, Order>) -> Option<String> {
        Some(record.key.clone())
    }

    fn key_validity(&self) -> Duration {
        Duration::from_hours(1)
    }

    fn call(
        &self,
        idempotency_key: String,
        record: Record<String, Order>,
    ) -> impl Future<Output = Result<String, OrderError>> + Send + 'static {
        let (failures, told) = (Arc::clone(&self.failures), Arc::clone(&self.told));
        async move {
            told.lock().unwrap().push(idempotency_key);
            obey(&record.value.text, &failures).map(|()| "thanks".to_owned())
        }
    }

    fn finish(
        &mut self,
        ctx: &mut Context<'_>,
        record: &Record<String, Order>,
        outcome: &Outcome<String>,
    ) -> Result<(), OrderError> {
        let text = match outcome {
            Outcome::Done { answer, attempts } => format!("{answer} after {attempts}"),
            Outcome::Unknown { attempts, .. } => format!("unknown after {attempts}"),
        };
        ctx.forward(&self.out, &record.key, &order(&text))?;
        Ok(())
    }
}

fn effect(failures: u32) -> (TestDriver, Arc<Mutex<Vec<String>>>) {
    let failures = Arc::new(AtomicU32::new(failures));
    let told = Arc::new(Mutex::new(Vec::new()));
    let mut builder = Topology::builder("teller");
    let mut sub = builder.sub_topology("tell", Effects::Publish);
    let source = sub.source("in", "in");
    let out = sub.sink("out", "out");
    let (sink, calls) = (out.clone(), Arc::clone(&told));
    let supplier = move || Tell {
        out: sink.clone(),
        failures: Arc::clone(&failures),
        told: Arc::clone(&calls),
    };
    sub.effect("tell", &source, "effects", supplier, AsyncOptions::default()).sinks([out.id()]);
    (TestDriver::new(builder.build().unwrap()).unwrap(), told)
}

#[test]
fn effect_is_told_once_per_id_and_intent_comes_before_the_call() {
    let (mut driver, told) = effect(0);
    pipe(&mut driver, "e1", "go");
    pipe(&mut driver, "e1", "go");
    assert_eq!(*told.lock().unwrap(), ["teller:e1"]);
    assert_eq!(texts(&mut driver, "out"), ["thanks after 1", "thanks after 1"]);
    let ledger = driver.records("teller-effects");
    let states: Vec<bool> = ledger
        .iter()
        .map(|r| String::from_utf8_lossy(r.value.as_ref().unwrap()).contains("intent"))
        .collect();
    assert_eq!(states, [true, false]);
}

#[test]
fn effect_is_repeated_with_its_key_while_the_key_is_honoured() {
    let (mut driver, told) = effect(2);
    pipe(&mut driver, "e1", "not-for-a-minute");
    driver.advance(Duration::from_mins(5));
    assert_eq!(*told.lock().unwrap(), ["teller:e1"; 3]);
    assert_eq!(texts(&mut driver, "out"), ["thanks after 3"]);
}

#[test]
fn effect_is_unknown_once_its_key_is_no_longer_honoured() {
    let (mut driver, _) = effect(u32::MAX);
    pipe(&mut driver, "e1", "not-for-a-minute");
    driver.advance(Duration::from_mins(58));
    assert!(texts(&mut driver, "out").is_empty());
    driver.advance(Duration::from_mins(2));
    assert_eq!(texts(&mut driver, "out"), ["unknown after 60"]);
    assert!(driver.dead_letters().is_empty(), "it is told, not hidden");
    assert_eq!(driver.committed("in"), Some(1));
}

#[test]
fn intent_left_by_a_crash_is_unknown_after_its_key_and_repeated_before() {
    for (later, expect) in [(30, "thanks after 2"), (61, "unknown after 1")] {
        let (mut driver, told) = effect(1);
        pipe(&mut driver, "e1", "not-for-a-minute");
        driver.hold_commits();
        // The process is gone while the record rests; time passes before it comes back.
        driver.skip(Duration::from_mins(later));
        driver.restart().unwrap();
        assert_eq!(texts(&mut driver, "out"), [expect]);
        assert_eq!(told.lock().unwrap().len(), if later < 60 { 2 } else { 1 });
    }
}

#[test]
fn wrong_graphs_are_refused_with_what_is_wrong() {
    let mut builder = Topology::builder("wrong");
    let mut sub = builder.sub_topology("a", Effects::None);
    sub.source::<String, Order>("in", "in");
    let error = builder.build().unwrap_err();
    assert!(matches!(error, topology::Error::Idle { .. }), "{error}");

    let mut builder = Topology::builder("wrong");
    let sub = builder.sub_topology("a", Effects::None);
    let error = sub.http_client().unwrap_err().to_string();
    assert_eq!(error, "sub-topology `a` declares effects `none`; `http_client` needs `read`");

    let mut builder = Topology::builder("wrong");
    for (name, topic) in [("a", "in"), ("b", "out")] {
        let mut sub = builder.sub_topology(name, Effects::None);
        sub.source::<String, Order>(topic, topic);
        drop(sub.store::<String, u32>("counts"));
    }
    let error = builder.build().unwrap_err().to_string();
    assert!(error.contains("`counts` is declared in sub-topologies `a` and `b`"), "{error}");

    let error = Topology::builder("not a topic").build().unwrap_err().to_string();
    assert!(error.contains("application `not a topic`: expected"), "{error}");

    let error = Topology::builder("wrong").build().unwrap_err();
    assert_eq!(error.to_string(), "application `wrong` has no source");
}

#[test]
fn graph_is_described_without_a_broker() {
    let Sync { .. } = synchronous(0, None);
    let (driver, _) = effect(0);
    insta::assert_snapshot!(driver.describe(), @r"
    application teller
    sub-topology tell (effects: publish)
      source in (topic: in)
        --> tell
      processor tell (in key order, at most 64 calls in flight)
        <-> effects
        --> out
      store effects (topic: teller-effects)
      sink out (topic: out)
    ");
}
