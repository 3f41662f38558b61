//! How far a partition may be ahead of its oldest unfinished record: what a commit can tell.

use std::{collections::HashMap, sync::Arc, time::Duration};

use super::{Order, OrderError, order};
use crate::{
    AsyncOptions, AsyncProcessor, Begin, Context, Effects, Guarantee, Headers, Position, RawRecord,
    Record, Sink, Topology,
    task::{
        Command, Environment, Event, Task,
        commit_point::{CommitPoint, FINISHED_AHEAD_MAX},
    },
    wire::{Encoder, LocalSchemas, Schemas as _},
};

/// Asks about keys that begin with `slow` and copies every other record.
struct OneSlow(Sink<String, Order>);

impl AsyncProcessor for OneSlow {
    type Key = String;
    type Value = Order;
    type Request = ();
    type Answer = ();
    type Error = OrderError;

    fn begin(
        &mut self,
        ctx: &mut Context<'_>,
        record: &Record<String, Order>,
    ) -> Result<Begin<()>, OrderError> {
        if record.key.starts_with("slow") {
            return Ok(Begin::Call(()));
        }
        ctx.forward(&self.0, &record.key, &record.value)?;
        Ok(Begin::Done)
    }

    fn call(&self, (): ()) -> impl Future<Output = Result<(), OrderError>> + Send + 'static {
        std::future::ready(Ok(()))
    }

    fn complete(
        &mut self,
        ctx: &mut Context<'_>,
        record: &Record<String, Order>,
        (): (),
    ) -> Result<(), OrderError> {
        Ok(ctx.forward(&self.0, &record.key, &record.value)?)
    }
}

struct Bench {
    task: Task,
    now: i64,
    /// Keys of outputs, which are the offsets of their records.
    sent: Vec<String>,
    committed: Option<CommitPoint>,
    calls: Vec<Event>,
    is_paused: bool,
}

impl Bench {
    fn new(options: AsyncOptions) -> (Self, Encoder) {
        let mut builder = Topology::builder("reach");
        let mut sub = builder.sub_topology("reach", Effects::Read);
        let source = sub.source("in", "in");
        let out = sub.sink("out", "out");
        let sinks = [out.id()];
        let supplier = move || OneSlow(out.clone());
        sub.async_processor("copy", &source, supplier, options).sinks(sinks);
        let topology = builder.build().unwrap();
        let schemas = LocalSchemas::default();
        let schema = topology.subs[0].sinks[0].schema;
        let id = schemas.pin("out", schema).unwrap();
        let environment = Environment {
            schemas: Arc::new(schemas),
            schema_ids: HashMap::from([("out".to_owned(), id)]),
            commit_interval: Duration::from_millis(1),
            guarantee: Guarantee::AtLeastOnce,
            ..Environment::for_tests("reach")
        };
        let mut task = Task::new(&topology, 0, 0, &environment, 0).unwrap();
        task.set_committed(0, CommitPoint::default());
        let bench = Self {
            task,
            now: 0,
            sent: Vec::new(),
            committed: None,
            calls: Vec::new(),
            is_paused: false,
        };
        (bench, Encoder::new(id, schema).unwrap())
    }

    fn fetch(&mut self, encoder: &mut Encoder, offset: i64, key: String) {
        let record = RawRecord {
            position: Position { topic: "in".into(), partition: 0, offset },
            timestamp: 0,
            key: Some(key.into()),
            value: Some(encoder.encode(&order("x")).unwrap()),
            headers: Headers::new(),
        };
        self.task.handle(Event::Fetched { input: 0, record }, self.now);
    }

    /// Ticks until nothing more is asked for, with a broker that takes everything. Calls stay out.
    fn settle(&mut self) {
        loop {
            self.now += 2;
            self.task.tick(self.now);
            let commands = self.task.take_commands();
            if commands.is_empty() {
                return;
            }
            for command in commands {
                self.carry_out(command);
            }
        }
    }

    fn carry_out(&mut self, command: Command) {
        let event = match command {
            Command::Send { id, record } => {
                self.sent.push(String::from_utf8(record.key.unwrap().to_vec()).unwrap());
                Event::Acknowledged(id)
            }
            Command::Commit { offsets } => {
                self.committed = offsets.into_iter().next().map(|(_, point)| point);
                Event::Committed { is_ok: true }
            }
            Command::Call { entry, call, .. } => {
                let answer = Ok(Box::new(()) as crate::node::Opaque);
                self.calls.push(Event::Answered { entry, call, answer });
                return;
            }
            Command::Pause { .. } => return self.is_paused = true,
            Command::Resume { .. } => return self.is_paused = false,
            Command::Halt(halt) => panic!("{halt}"),
            Command::Save(_) => return,
        };
        self.task.handle(event, self.now);
    }
}

#[test]
fn what_is_handled_is_what_a_commit_can_tell_however_much_was_fetched() {
    let (mut bench, mut encoder) = Bench::new(AsyncOptions::default());
    let all = FINISHED_AHEAD_MAX + 1_000;
    for offset in 0..i64::try_from(all).unwrap() {
        let key = if offset == 0 { "slow".to_owned() } else { offset.to_string() };
        bench.fetch(&mut encoder, offset, key);
    }
    bench.settle();
    let point = bench.committed.clone().unwrap();
    assert_eq!(point.offset, 0);
    let is_told = |key: &String| point.covers(key.parse().unwrap());
    assert!(bench.sent.iter().all(is_told), "a crash would handle some of them again");
    assert_eq!(bench.sent.len(), FINISHED_AHEAD_MAX - 1);
    assert!(bench.is_paused);

    let answer = bench.calls.pop().unwrap();
    bench.task.handle(answer, bench.now);
    bench.settle();
    assert_eq!(bench.sent.len(), all);
    assert_eq!(bench.committed.unwrap().offset, i64::try_from(all).unwrap());
    assert!(!bench.is_paused);
}

/// A commit waits for the oldest, so a key's next record does not queue behind younger ones of others.
#[test]
fn the_oldest_record_that_may_begin_begins_first() {
    let (mut bench, mut encoder) = Bench::new(AsyncOptions::default().in_flight(1));
    for (offset, key) in ["slow-a", "slow-b", "slow-c", "slow-a", "slow-d"].iter().enumerate() {
        bench.fetch(&mut encoder, i64::try_from(offset).unwrap(), (*key).to_owned());
    }
    bench.settle();
    let mut began = Vec::new();
    while let Some(event) = bench.calls.pop() {
        if let Event::Answered { entry, .. } = &event {
            began.push(entry.0);
        }
        bench.task.handle(event, bench.now);
        bench.settle();
    }
    assert_eq!(began, [0, 1, 2, 3, 4]);
}
