//! Deterministic simulation: the real task core against a broker, a clock and a world outside that
//! a seed decides, with crashes at any point between two steps.
//!
//! A crash loses what was not written; of what was on its way to each partition a prefix may have
//! landed; a commit under way may have been taken or not. After every story: no input without its
//! output, sums equal to the inputs', keys in order, every effect told with one key.

mod app;
mod broker;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use app::{ENRICHED, INPUT, Outside, Payment, SUMMED, Stores, TOLD, World, topology};
use broker::{Broker, Fault};

use crate::{
    Metrics, Names, RetryPolicy, Topology,
    disposition::Failure,
    key::Key as _,
    node::{CallFuture, Opaque},
    task::{
        Command, EntryId, Environment, Event, Task, commit_point::CommitPoint, restore::entries,
    },
    topology_file::Guarantee,
    wire::{Decoder, Encoder, LocalSchemas, Schemas as _, keep},
};

const PARTITIONS: i32 = 2;
const INPUTS: usize = 40;
const KEYS: usize = 5;
const CRASHES_MAX: u32 = 4;
const STEPS_MAX: u32 = 200_000;

/// A mistake planted to see whether the simulation finds it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Planted {
    Nothing,
    /// A restore takes the whole changelog: state runs ahead of the outputs.
    RestoreEverything,
    /// Records count as acknowledged before they are written: offsets overtake outputs.
    AcknowledgeEarly,
}

struct Running {
    sub: usize,
    partition: i32,
    task: Task,
    positions: Vec<usize>,
    is_paused: Vec<bool>,
    calls: Vec<(EntryId, u32, CallFuture)>,
    commits: Vec<Vec<(usize, CommitPoint)>>,
}

struct Story {
    rng: fastrand::Rng,
    planted: Planted,
    topology: Topology,
    stores: Stores,
    environment: Environment,
    schemas: LocalSchemas,
    world: World,
    broker: Broker,
    running: Vec<Running>,
    now: i64,
    crashes: u32,
    trace: Vec<String>,
}

impl Story {
    fn new(seed: u64, planted: Planted) -> Self {
        let world = Arc::new(Mutex::new(Outside {
            rng: fastrand::Rng::with_seed(seed ^ 0x5eed),
            failure_percent: 20,
            performed: BTreeMap::new(),
            keys_of: HashMap::new(),
        }));
        let (topology, stores) = topology(&world);
        let schemas = LocalSchemas::default();
        let schema_ids = topology.subs.iter().flat_map(|sub| &sub.sinks);
        let schema_ids = schema_ids
            .map(|sink| (sink.topic.clone(), schemas.pin(&sink.topic, sink.schema).unwrap()))
            .collect();
        let environment = Environment {
            schemas: Arc::new(schemas.clone()),
            schema_ids,
            metrics: Metrics::new("simulated").unwrap(),
            names: Names::default(),
            retry: RetryPolicy::default(),
            commit_interval: Duration::from_millis(30),
            guarantee: Guarantee::AtLeastOnce,
            is_durable: false,
            seed,
        };
        let mut story = Self {
            rng: fastrand::Rng::with_seed(seed),
            planted,
            topology,
            stores,
            environment,
            schemas,
            world,
            broker: Broker::new(PARTITIONS),
            running: Vec::new(),
            now: 0,
            crashes: 0,
            trace: Vec::new(),
        };
        story.publish_inputs();
        story.start();
        story
    }

    /// Payments, every fifth of them twice.
    fn publish_inputs(&mut self) {
        let schema = keep(<Payment as apache_avro::AvroSchema>::get_schema());
        let id = self.schemas.pin(INPUT, schema).unwrap();
        let mut encoder = Encoder::new(id, schema).unwrap();
        for number in 0..INPUTS {
            let key = format!("k{}", self.rng.usize(0..KEYS));
            let amount = self.rng.i64(-50..100);
            let payment = Payment { id: format!("p{number:03}"), amount, total: 0 };
            for _ in 0..=usize::from(number % 5 == 0) {
                let value = encoder.encode(&payment).unwrap();
                self.broker.publish(INPUT, &key.encode(), value);
            }
        }
    }

    fn start(&mut self) {
        self.running.clear();
        for sub in 0..self.topology.subs.len() {
            for partition in 0..PARTITIONS {
                let task = Task::new(&self.topology, sub, partition, &self.environment, self.now);
                let mut task = task.unwrap();
                let (mut positions, mut starts) = (Vec::new(), Vec::new());
                let topics: Vec<_> = task.input_topics().cloned().collect();
                for (input, topic) in topics.iter().enumerate() {
                    let committed = self.broker.committed(topic, partition).unwrap_or_default();
                    positions.push(usize::try_from(committed.offset).unwrap());
                    starts.push((input, committed));
                }
                self.restore(&mut task, partition);
                for (input, point) in starts {
                    task.set_committed(input, point);
                }
                self.running.push(Running {
                    sub,
                    partition,
                    is_paused: vec![false; positions.len()],
                    task,
                    positions,
                    calls: Vec::new(),
                    commits: Vec::new(),
                });
            }
        }
    }

    fn restore(&self, task: &mut Task, partition: i32) {
        let logs: Vec<_> =
            task.changelogs().map(|(i, topic, kind)| (i, Arc::clone(topic), kind)).collect();
        for (store, topic, kind) in logs {
            for record in self.broker.records(&topic, partition) {
                let is_handled = |source: &crate::Position| {
                    let point = self.broker.committed(&source.topic, source.partition);
                    point.is_some_and(|point| point.covers(source.offset))
                };
                entries(record, kind, is_handled, |entry| {
                    if entry.is_committed || self.planted == Planted::RestoreEverything {
                        task.restore(store, entry.key, entry.value);
                    }
                })
                .unwrap();
            }
        }
    }

    /// One random step of anything that can move.
    fn step(&mut self, may_crash: bool) {
        let which = self.rng.usize(0..self.running.len());
        match self.rng.u8(0..100) {
            0..=34 => self.fetch(which),
            35..=59 => self.write(),
            60..=74 => self.answer(which),
            75..=84 => self.commit(which),
            85..=98 => self.now += self.rng.i64(0..20),
            _ if may_crash && self.crashes < CRASHES_MAX && self.rng.u8(0..4) == 0 => self.crash(),
            _ => {}
        }
        self.pump(which);
    }

    fn fetch(&mut self, which: usize) {
        let running = &mut self.running[which];
        let topics: Vec<_> = running.task.input_topics().cloned().collect();
        for (input, topic) in topics.iter().enumerate() {
            let records = self.broker.records(topic, running.partition);
            let position = &mut running.positions[input];
            if let Some(record) = records.get(*position).filter(|_| !running.is_paused[input]) {
                *position += 1;
                let event = Event::Fetched { input, record: record.clone() };
                running.task.handle(event, self.now);
            }
        }
    }

    /// The broker writes a record that is on its way and acknowledges it.
    fn write(&mut self) {
        if let Some((owner, id)) = self.broker.write_one(&mut self.rng)
            && self.planted != Planted::AcknowledgeEarly
        {
            self.running[owner].task.handle(Event::Acknowledged(id), self.now);
        }
    }

    fn answer(&mut self, which: usize) {
        let running = &mut self.running[which];
        if running.calls.is_empty() {
            return;
        }
        let index = self.rng.usize(0..running.calls.len());
        let (entry, call, future) = running.calls.swap_remove(index);
        let answer = ready(future);
        running.task.handle(Event::Answered { entry, call, answer }, self.now);
    }

    fn commit(&mut self, which: usize) {
        let running = &mut self.running[which];
        let Some(offsets) = running.commits.pop() else { return };
        let is_ok = self.rng.u8(0..10) > 0;
        if is_ok {
            let topics: Vec<_> = running.task.input_topics().cloned().collect();
            for (input, offset) in offsets {
                self.broker.commit(&topics[input], running.partition, offset);
            }
        }
        running.task.handle(Event::Committed { is_ok }, self.now);
    }

    fn pump(&mut self, which: usize) {
        let now = self.now;
        let running = &mut self.running[which];
        running.task.tick(now);
        let mut early = Vec::new();
        for command in running.task.take_commands() {
            match command {
                Command::Send { id, record } => {
                    if self.planted == Planted::AcknowledgeEarly {
                        early.push(id);
                    }
                    self.broker.send(which, id, record);
                }
                Command::Call { entry, call, future } => running.calls.push((entry, call, future)),
                Command::Commit { offsets } => running.commits.push(offsets),
                Command::Pause { input } => running.is_paused[input] = true,
                Command::Resume { input } => running.is_paused[input] = false,
                Command::Save(_) => {}
                Command::Halt(halt) => panic!("halted: {halt}"),
            }
        }
        for id in early {
            running.task.handle(Event::Acknowledged(id), now);
        }
    }

    /// The process dies: a prefix of what was on its way landed, calls were made or not, commits
    /// were taken or not.
    fn crash(&mut self) {
        self.crashes += 1;
        self.trace.push(format!("crash at {} ms", self.now));
        self.broker.crash(&mut self.rng);
        for running in std::mem::take(&mut self.running) {
            let topics: Vec<_> = running.task.input_topics().cloned().collect();
            for (_, _, future) in running.calls {
                if self.rng.bool() {
                    // Made, but the answer came too late.
                    drop(ready(future));
                }
            }
            for offsets in running.commits {
                if self.rng.bool() {
                    for (input, offset) in offsets {
                        self.broker.commit(&topics[input], running.partition, offset);
                    }
                }
            }
        }
        self.start();
    }

    fn is_done(&self) -> bool {
        self.broker.is_quiet()
            && self.running.iter().all(|running| {
                let topics = running.task.input_topics().enumerate();
                let mut is_finished = topics.map(|(input, topic)| {
                    let end = self.broker.records(topic, running.partition).len();
                    let committed = self.broker.committed(topic, running.partition);
                    running.positions[input] == end
                        && (end == 0 || committed.map(|c| c.offset) == i64::try_from(end).ok())
                });
                is_finished.all(|is_finished| is_finished)
                    && running.calls.is_empty()
                    && running.commits.is_empty()
                    && running.task.is_clean()
            })
    }

    /// Runs to the end; what is wrong at the end, if anything.
    fn run(&mut self) -> Result<(), String> {
        for step in 0..STEPS_MAX {
            self.step(step < STEPS_MAX / 2);
            if step % 64 == 0 && self.is_done() {
                return self.judge();
            }
        }
        Err("it never came to rest".to_owned())
    }

    fn payments(&self, topic: &str) -> BTreeMap<String, Vec<Payment>> {
        let schema = keep(<Payment as apache_avro::AvroSchema>::get_schema());
        let mut decoder = Decoder::new(Arc::new(self.schemas.clone()), schema);
        let mut found: BTreeMap<String, Vec<Payment>> = BTreeMap::new();
        for partition in 0..PARTITIONS {
            for record in self.broker.records(topic, partition) {
                let key = String::decode(record.key.as_ref().unwrap()).unwrap();
                let payment = decoder.decode(record.value.as_ref().unwrap()).unwrap();
                found.entry(key).or_default().push(payment);
            }
        }
        found
    }

    fn judge(&self) -> Result<(), String> {
        let inputs = self.payments(INPUT);
        for topic in [SUMMED, ENRICHED, TOLD] {
            let outputs = self.payments(topic);
            for (key, sent) in &inputs {
                let expected = first_sights(sent);
                let found = first_sights(outputs.get(key).map_or(&[], Vec::as_slice));
                if expected != found {
                    return Err(format!(
                        "{topic} of {key}: expected {expected:?}, found {found:?}"
                    ));
                }
            }
        }
        for (key, sent) in &inputs {
            let ids = first_sights(sent);
            let sum: i64 =
                ids.iter().map(|id| sent.iter().find(|p| p.id == *id).unwrap().amount).sum();
            let state = self.total(key);
            if state != Some(sum) {
                return Err(format!("total of {key}: expected {sum}, found {state:?}"));
            }
        }
        let performed = self.world.lock().unwrap().performed.len();
        if performed == INPUTS { Ok(()) } else { Err(format!("{performed} effects of {INPUTS}")) }
    }

    fn total(&self, key: &str) -> Option<i64> {
        let index = self.stores.totals.index;
        self.running
            .iter()
            .filter(|running| running.sub == 0)
            .filter_map(|running| running.task.state(index)?.key_value()?.get(key.as_bytes()))
            .find_map(|bytes| serde_json::from_slice(bytes).ok())
    }
}

/// Ids in the order of their first appearance.
fn first_sights(payments: &[Payment]) -> Vec<&str> {
    let mut seen = Vec::new();
    for payment in payments {
        if !seen.contains(&payment.id.as_str()) {
            seen.push(payment.id.as_str());
        }
    }
    seen
}

/// The answer of a future that never waits.
fn ready(mut future: CallFuture) -> Result<Opaque, Failure> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(answer) => answer,
        std::task::Poll::Pending => panic!("calls of the simulation answer at once"),
    }
}

fn story(seed: u64, planted: Planted) -> Result<(), String> {
    let mut story = Story::new(seed, planted);
    if planted == Planted::AcknowledgeEarly {
        story.broker.fault = Fault::LosesEverything;
    }
    let ended = story.run();
    ended.map_err(|wrong| format!("seed {seed}: {wrong}\n{}", story.trace.join("\n")))
}

#[test]
fn no_story_loses_an_output_or_counts_an_input_twice() {
    for seed in 0..400 {
        if let Err(wrong) = story(seed, Planted::Nothing) {
            panic!("{wrong}");
        }
    }
}

#[test]
fn state_ahead_of_its_outputs_is_found() {
    let found = (0..200).find_map(|seed| story(seed, Planted::RestoreEverything).err());
    assert!(found.is_some_and(|wrong| wrong.contains("expected")));
}

#[test]
fn offsets_ahead_of_their_outputs_are_found() {
    let found = (0..200).find_map(|seed| story(seed, Planted::AcknowledgeEarly).err());
    assert!(found.is_some_and(|wrong| wrong.contains("expected")));
}
