//! Deterministic simulation: the real task core against a broker, a clock and a world outside that
//! a seed decides, with crashes at any point between two steps.
//!
//! A crash loses what was not written; of what was on its way to each partition a prefix may have
//! landed; a commit under way may have been taken or not. Under exactly-once the broker answers late,
//! refuses and fences as the seed says; an open transaction is lost with the process. State is kept
//! on a disk that a crash may take away. After every story: no input without its output, sums equal
//! to the inputs', keys in order, every effect told with one key; under exactly-once every output once.

mod app;
mod broker;
mod disk;
mod judge;
mod stories;
mod transactions;
mod zombie;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use disk::Disk;
use transactions::{Open, Producer};

use app::{INPUT, Outside, Payment, Stores, World, topology};
use broker::{Broker, Fault};

use crate::{
    Metrics, Names, RetryPolicy, Topology,
    disposition::Failure,
    key::Key as _,
    node::{Call, Opaque},
    task::{
        Command, EntryId, Environment, Event, Saved, Task,
        commit_point::{CommitPoint, FinishedAhead},
        restore::entries,
        transaction::{Progress, Transaction},
    },
    topology_file::Guarantee,
    wire::{Encoder, LocalSchemas, Schemas as _, keep},
};

const PARTITIONS: i32 = 2;
const KEYS: usize = 5;
const STEPS_MAX: u32 = 200_000;
const COMMIT_MS: i64 = 30;

/// A mistake planted to see whether the simulation finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Planted {
    Nothing,
    /// A restore takes the whole changelog: state runs ahead of the outputs.
    RestoreEverything,
    /// Records count as acknowledged before they are written: offsets overtake outputs.
    AcknowledgeEarly,
    /// What an aborted transaction wrote to changelogs is restored: the store is ahead of it.
    StoreAheadOfTransaction,
    /// The map of finished records is read shifted by one.
    OffsetMapOffByOne,
    /// A close forgets the calls that are out: their records count as handled.
    DroppedDrain,
    /// A restore stops before the end of the changelog.
    StaleEnd,
    /// A partition that comes while a commit is not answered begins at once: what it sends is no part of
    /// the commit, and the commit calls it committed.
    BeginsInsideCommit,
    /// What only a punctuation wrote is committed without offsets: nobody asks the group whether the
    /// partition is still ours.
    PunctuatesUnasked,
}

/// How large a story is.
#[derive(Clone, Copy, Debug)]
struct Size {
    inputs: usize,
    crashes: u32,
}

struct Running {
    sub: usize,
    partition: i32,
    task: Task,
    positions: Vec<usize>,
    is_paused: Vec<bool>,
    calls: Vec<(EntryId, u32, Call)>,
    commits: Vec<Vec<(usize, CommitPoint)>>,
}

struct Story {
    rng: fastrand::Rng,
    planted: Planted,
    size: Size,
    guarantee: Guarantee,
    transaction: Transaction,
    open: Open,
    disks: BTreeMap<(usize, i32), Disk>,
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
    fn new(seed: u64, planted: Planted, guarantee: Guarantee, size: Size) -> Self {
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
            guarantee,
            is_durable: true,
            seed,
        };
        let mut story = Self {
            rng: fastrand::Rng::with_seed(seed),
            planted,
            size,
            guarantee,
            transaction: Transaction::new(COMMIT_MS, 0),
            open: Open::default(),
            disks: BTreeMap::new(),
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
        for number in 0..self.size.inputs {
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
        self.transaction = Transaction::new(COMMIT_MS, self.now);
        self.open = Open::default();
        for sub in 0..self.topology.subs.len() {
            for partition in 0..PARTITIONS {
                let running = self.make(sub, partition);
                self.running.push(running);
            }
        }
    }

    fn make(&mut self, sub: usize, partition: i32) -> Running {
        let task = Task::new(&self.topology, sub, partition, &self.environment, self.now);
        let mut task = task.unwrap();
        let (mut positions, mut starts) = (Vec::new(), Vec::new());
        let topics: Vec<_> = task.input_topics().cloned().collect();
        for (input, topic) in topics.iter().enumerate() {
            let mut committed = self.broker.committed(topic, partition).unwrap_or_default();
            if self.planted == Planted::OffsetMapOffByOne {
                let shifted: Vec<i64> = committed.finished.offsets(committed.offset + 1).collect();
                committed.finished = FinishedAhead::of(committed.offset, shifted.into_iter());
            }
            positions.push(usize::try_from(committed.offset).unwrap());
            starts.push((input, committed));
        }
        self.restore(&mut task, &starts);
        for (input, point) in starts {
            task.set_committed(input, point);
        }
        Running {
            sub,
            partition,
            is_paused: vec![false; positions.len()],
            task,
            positions,
            calls: Vec::new(),
            commits: Vec::new(),
        }
    }

    /// From the disk, where the crash has left one, and the rest of the changelogs.
    fn restore(&mut self, task: &mut Task, starts: &[(usize, CommitPoint)]) {
        let partition = task.partition();
        let mut disk = self.disks.remove(&task.id()).filter(|_| self.rng.u8(0..5) > 0);
        for (input, start) in starts {
            let kept = disk.as_ref().and_then(|disk| disk.sources.get(*input).copied().flatten());
            assert!(
                kept.is_none_or(|kept| kept <= start.offset),
                "the disk is ahead of the commit"
            );
        }
        let logs: Vec<_> =
            task.changelogs().map(|(i, topic, kind)| (i, Arc::clone(topic), kind)).collect();
        let mut disk = disk.take().unwrap_or_default();
        disk.asked = None;
        disk.positions.resize(logs.len(), 0);
        for ((store, key), value) in &disk.entries {
            task.restore(*store, key.clone(), Some(value.clone()));
        }
        for (store, topic, kind) in logs {
            let records = self.broker.records(&topic, partition);
            let end = match self.planted {
                Planted::StaleEnd => records.len().saturating_sub(1),
                _ => records.len(),
            };
            let from = disk.positions[store].min(end);
            let mut left_out = std::collections::BTreeSet::new();
            let mut restored = Vec::new();
            for record in &records[from..end] {
                let is_handled = |source: &crate::Position| {
                    let point = self.broker.committed(&source.topic, source.partition);
                    point.is_some_and(|point| point.covers(source.offset))
                };
                entries(record, kind, is_handled, |entry| {
                    if entry.is_committed || self.planted == Planted::RestoreEverything {
                        left_out.remove(&entry.key);
                        task.restore(store, entry.key.clone(), entry.value.clone());
                        restored.push(Saved { store, key: entry.key, value: entry.value });
                    } else {
                        left_out.insert(entry.key);
                    }
                })
                .unwrap();
            }
            disk.keep(restored);
            disk.positions[store] = end;
            for key in left_out {
                task.correct(store, key);
            }
        }
        disk.sources = starts.iter().map(|(_, start)| Some(start.offset)).collect();
        self.disks.insert(task.id(), disk);
    }

    /// One random step of anything that can move.
    fn step(&mut self, may_crash: bool) {
        let which = self.rng.usize(0..self.running.len());
        match self.rng.u8(0..100) {
            0..=34 => self.fetch(which),
            35..=59 => self.write(),
            60..=72 => self.answer(which),
            73..=80 => self.commit(which),
            81..=82 => self.ask_ends(which),
            83..=98 => self.now += self.rng.i64(0..20),
            _ if may_crash && self.crashes < self.size.crashes && self.rng.u8(0..4) == 0 => {
                match self.rng.u8(0..3) {
                    0 => self.crash(),
                    1 => self.hand_away(which),
                    _ => self.oversleep(),
                }
            }
            _ => {}
        }
        self.pump(which);
        self.transact();
    }

    /// The ends of a task's changelogs: they count from its next frame on.
    fn ask_ends(&mut self, which: usize) {
        let task = &self.running[which].task;
        let ends = task
            .changelogs()
            .map(|(_, topic, _)| self.broker.records(topic, task.partition()).len());
        let ends = ends.collect();
        if let Some(disk) = self.disks.get_mut(&task.id()) {
            disk.asked = Some(ends);
        }
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
        let (entry, call, wanted) = running.calls.swap_remove(index);
        let answer = ready(wanted);
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
        self.running[which].task.tick(now);
        self.carry_out(which);
    }

    fn carry_out(&mut self, which: usize) {
        let now = self.now;
        let running = &mut self.running[which];
        let (mut early, mut sent) = (Vec::new(), Vec::new());
        let is_transactional = running.task.is_transactional();
        for command in running.task.take_commands() {
            match command {
                Command::Send { record, .. } if is_transactional => sent.push(record),
                Command::Send { id, record } => {
                    if self.planted == Planted::AcknowledgeEarly {
                        early.push(id);
                    }
                    self.broker.send(which, id, record);
                }
                Command::Call { entry, call, wanted } => running.calls.push((entry, call, wanted)),
                Command::Commit { offsets } => running.commits.push(offsets),
                Command::Pause { input } => running.is_paused[input] = true,
                Command::Resume { input } => running.is_paused[input] = false,
                Command::Save(frame) => {
                    self.disks.get_mut(&running.task.id()).unwrap().save(frame);
                }
                Command::Halt(halt) => panic!("halted: {halt}"),
            }
        }
        for id in early {
            running.task.handle(Event::Acknowledged(id), now);
        }
        if !sent.is_empty() {
            let Self { open, broker, rng, .. } = self;
            self.transaction.open(&mut Producer { open, broker, rng }).unwrap();
            self.open.sent.extend(sent);
        }
    }

    /// Takes the transaction a step on.
    fn transact(&mut self) {
        let Self { open, broker, rng, running, transaction, .. } = self;
        let tasks = running.iter_mut().map(|running| &mut running.task);
        let mut tasks: Vec<&mut Task> = tasks.filter(|task| task.is_transactional()).collect();
        if rng.u8(0..4) == 0 {
            transaction.rested(rng.i64(0..=COMMIT_MS));
        }
        let progress =
            transaction.step(&mut tasks, &mut Producer { open, broker, rng }, true, self.now);
        if progress == Progress::Committed {
            transaction.committed(self.now);
        }
        match progress {
            Progress::HandOver | Progress::Committed => {
                for which in 0..self.running.len() {
                    self.carry_out(which);
                }
            }
            Progress::Aborted | Progress::Waiting => {}
            Progress::Fatal(reason) => panic!("fatal: {reason}"),
        }
    }

    /// The process dies: a prefix of what was on its way landed, calls were made or not, commits
    /// were taken or not.
    fn crash(&mut self) {
        self.crashes += 1;
        self.trace.push(format!("crash at {} ms", self.now));
        self.broker.crash(&mut self.rng);
        if self.planted == Planted::StoreAheadOfTransaction {
            for record in std::mem::take(&mut self.open.sent) {
                if record.topic.ends_with("-changelog") {
                    self.broker.write(record);
                }
            }
        }
        for running in std::mem::take(&mut self.running) {
            let topics: Vec<_> = running.task.input_topics().cloned().collect();
            for (_, _, wanted) in running.calls {
                if self.rng.bool() {
                    // Made, but the answer came too late.
                    drop(ready(wanted));
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

    /// A partition is taken away at once and given back: its task is made anew, the others go on.
    /// Its part of the open transaction is given up with the rest of it.
    fn hand_away(&mut self, which: usize) {
        if !self.running[which].task.is_transactional() {
            return;
        }
        if !self.transaction.may_give_up() {
            self.hand_away_inside_commit(which);
            return;
        }
        self.trace.push(format!("a partition goes and comes back at {} ms", self.now));
        self.crashes += 1;
        self.transaction.give_up();
        let (sub, partition) = (self.running[which].sub, self.running[which].partition);
        if self.planted == Planted::DroppedDrain {
            let topics: Vec<_> = self.running[which].task.input_topics().cloned().collect();
            for (input, topic) in topics.iter().enumerate() {
                let offset = i64::try_from(self.running[which].positions[input]).unwrap();
                let point = CommitPoint { offset, ..CommitPoint::default() };
                self.broker.commit(topic, partition, point);
            }
        }
        self.running[which] = self.make(sub, partition);
    }

    /// The same while the answer to a commit is late. Who takes the partition over waits for what is open
    /// on its offsets, so the broker has decided when the new task has its state.
    fn hand_away_inside_commit(&mut self, which: usize) {
        if !self.open.is_committed {
            return;
        }
        self.trace.push(format!("a partition comes inside of a commit at {} ms", self.now));
        self.crashes += 1;
        let (sub, partition) = (self.running[which].sub, self.running[which].partition);
        self.transaction.forget((sub, partition));
        self.running[which] = self.make(sub, partition);
        if self.planted != Planted::BeginsInsideCommit {
            self.running[which].task.hold();
        }
    }

    fn is_done(&self) -> bool {
        self.broker.is_quiet()
            && self.transaction.is_idle()
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
        let places = self.running.iter().map(|running| {
            let topics = running.task.input_topics().map(|topic| {
                let committed = self.broker.committed(topic, running.partition);
                let end = self.broker.records(topic, running.partition).len();
                format!("{topic} committed {committed:?} of {end}")
            });
            let topics: Vec<_> = topics.collect();
            let (calls, is_clean) = (running.calls.len(), running.task.is_clean());
            format!("{:?} {topics:?} calls {calls} clean {is_clean}", running.task.id())
        });
        let places: Vec<_> = places.collect();
        Err(format!("it never came to rest:\n{}", places.join("\n")))
    }
}

/// The answer of a future that never waits.
fn ready(wanted: Call) -> Result<Opaque, Failure> {
    let mut future = wanted.into_future();
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(answer) => answer,
        std::task::Poll::Pending => panic!("calls of the simulation answer at once"),
    }
}
