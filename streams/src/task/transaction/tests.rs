use std::{sync::Arc, time::Duration};

use apache_avro::AvroSchema as _;

use super::{ErrorKind, Offsets, Progress, Transaction, TransactionError, Transactional};
use crate::{
    Context, DedupeStore, Disposition, Fault, Processor, Record,
    disposition::Failure,
    key::Key as _,
    record::{Headers, Position, RawRecord},
    task::{Command, Environment, Event, Task, commit_point::CommitPoint},
    topology::{Effects, Topology},
    wire::{Encoder, FixedSchemas},
};

const INTERVAL_MS: i64 = 100;
const SCHEMA_ID: u32 = 1;

struct Remember(DedupeStore);

impl Processor for Remember {
    type Key = String;
    type Value = i64;
    type Error = Fault;

    fn process(
        &mut self,
        ctx: &mut Context<'_>,
        record: &Record<String, i64>,
    ) -> Result<(), Fault> {
        ctx.first_sight(&self.0, &record.key, record.timestamp)?;
        Ok(())
    }
}

/// What a producer was asked, in order.
#[derive(Default)]
pub(crate) struct Calls {
    made: Vec<&'static str>,
    /// The broker does not answer a commit.
    pub(crate) is_silent: bool,
}

impl Transactional for Calls {
    fn begin(&mut self) -> Result<(), TransactionError> {
        self.made.push("begin");
        Ok(())
    }

    fn dispatch(&mut self) {
        self.made.push("dispatch");
    }

    fn send_offsets(&mut self, _: &Offsets) -> Result<(), TransactionError> {
        self.made.push("offsets");
        Ok(())
    }

    fn commit(&mut self) -> Result<(), TransactionError> {
        self.made.push("commit");
        let (kind, message) = (ErrorKind::Retriable, "the broker is silent".to_owned());
        if self.is_silent { Err(TransactionError { kind, message }) } else { Ok(()) }
    }

    fn abort(&mut self) -> Result<(), TransactionError> {
        self.made.push("abort");
        Ok(())
    }
}

fn task() -> Task {
    let mut builder = Topology::builder("app");
    let mut sub = builder.sub_topology("remember", Effects::None);
    let source = sub.source("in", "in");
    let seen = sub.dedupe_store("seen", Duration::from_hours(1));
    let id = seen.id();
    sub.processor("remember", &source, move || Remember(seen.clone())).stores([id]);
    let environment = Environment {
        schemas: Arc::new(FixedSchemas::new().with(SCHEMA_ID, i64::get_schema())),
        ..Environment::for_tests("app")
    };
    let mut task = Task::new(&builder.build().unwrap(), 0, 0, &environment, 0).unwrap();
    task.set_committed(0, CommitPoint::default());
    task
}

fn feed(task: &mut Task, offset: i64, now: i64) {
    // An encoder's schema lives as long as the program.
    let schema = Box::leak(Box::new(i64::get_schema()));
    let value = Encoder::new(SCHEMA_ID, schema).unwrap().encode(&offset).unwrap();
    let record = RawRecord {
        position: Position { topic: "in".into(), partition: 0, offset },
        timestamp: now,
        key: Some(format!("id-{offset}").encode()),
        value: Some(value),
        headers: Headers::new(),
    };
    task.handle(Event::Fetched { input: 0, record }, now);
    task.tick(now);
}

/// How many records the task wants sent.
fn sends(task: &mut Task) -> usize {
    task.take_commands().iter().filter(|c| matches!(c, Command::Send { .. })).count()
}

#[test]
fn ids_leave_once_before_the_commit_and_again_with_it() {
    let (mut task, mut calls) = (task(), Calls::default());
    let mut transaction = Transaction::new(INTERVAL_MS, 0);
    feed(&mut task, 0, 0);
    transaction.open(&mut calls).unwrap();
    let mut sent = Vec::new();
    for now in 0..=INTERVAL_MS {
        if now == 60 {
            feed(&mut task, 1, now);
        }
        loop {
            let progress = transaction.step(&mut [&mut task], &mut calls, true, now);
            let count = sends(&mut task);
            if count > 0 {
                sent.push((now, count));
            }
            if progress != Progress::HandOver {
                break;
            }
        }
    }
    assert_eq!(sent, [(33, 1), (INTERVAL_MS, 1)]);
    assert_eq!(calls.made, ["begin", "dispatch", "dispatch", "offsets", "commit"]);
}

/// When a transaction that is open from the last commit at 10 ms on is committed.
fn committed_at(rested_ms: i64) -> i64 {
    let (mut task, mut calls) = (task(), Calls::default());
    let mut transaction = Transaction::new(INTERVAL_MS, 0);
    transaction.committed(10);
    transaction.open(&mut calls).unwrap();
    feed(&mut task, 0, 10);
    transaction.rested(rested_ms);
    let mut times = 11..;
    let at = times.find(|now| {
        loop {
            match transaction.step(&mut [&mut task], &mut calls, true, *now) {
                Progress::HandOver => {}
                progress => return progress == Progress::Committed,
            }
        }
    });
    at.unwrap()
}

#[test]
fn a_thread_with_time_commits_before_the_interval_is_over() {
    assert_eq!(committed_at(0), INTERVAL_MS);
    // 10 ms for the last commit: a gap as long as that, and a quarter of the interval at least.
    assert_eq!(committed_at(1_000), 10 + 25);
}

/// Nothing brings this about that is known; a thread that stood still would tell nobody.
#[test]
fn a_record_refused_while_no_transaction_is_open_begins_anew() {
    let (mut task, mut calls) = (task(), Calls::default());
    let mut transaction = Transaction::new(INTERVAL_MS, 0);
    feed(&mut task, 0, 0);
    task.send_waiting_changes();
    let sent = task.take_commands().into_iter().find_map(|command| match command {
        Command::Send { id, .. } => Some(id),
        _ => None,
    });
    let failure = Failure {
        exception: "test".into(),
        message: "not in a transaction".to_owned(),
        disposition: Disposition::Halt,
    };
    task.handle(Event::Refused { send: sent.unwrap(), failure }, 1);
    let progress = transaction.step(&mut [&mut task], &mut calls, true, 1);
    assert!(matches!(progress, Progress::Fatal(_)), "{progress:?}");
}

/// Its partition goes while the commit waits, others go on with it, and it comes back before the answer.
#[test]
fn a_late_answer_sets_no_partition_back_that_went_and_came_again() {
    let (mut gone, mut calls) = (task(), Calls { is_silent: true, ..Calls::default() });
    let mut transaction = Transaction::new(INTERVAL_MS, 0);
    feed(&mut gone, 0, 0);
    transaction.hurry(0);
    for expected in [Progress::HandOver, Progress::Waiting] {
        assert_eq!(transaction.step(&mut [&mut gone], &mut calls, true, 0), expected);
    }
    transaction.forget(gone.id());
    let mut back = task();
    back.set_committed(0, CommitPoint { offset: 7, ..CommitPoint::default() });
    back.hold();
    calls.is_silent = false;
    assert_eq!(transaction.step(&mut [&mut back], &mut calls, true, 1), Progress::Committed);
    assert_eq!(back.inputs[0].committed.as_ref().map(|point| point.offset), Some(7));
}
