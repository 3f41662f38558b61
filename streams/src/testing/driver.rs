//! The test driver.

use std::{
    collections::{BTreeMap, HashMap},
    marker::PhantomData,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    dead_letter::Reason,
    key::Key,
    metrics::Metrics,
    names::Names,
    processor::Value,
    record::{Headers, Outgoing, Position, RawRecord, Record, Timestamp},
    store::State,
    task::{
        Command, Environment, Event, Halt, RetryPolicy, Task,
        commit_point::CommitPoint,
        restore::entries,
        transaction::{ErrorKind, Offsets, Progress, Transaction, TransactionError, Transactional},
    },
    topology::{DedupeStore, Store, Topology},
    topology_file::Guarantee,
    wire::{Decoder, Encoder, LocalSchemas, Schemas, keep},
};

/// The driver's clock at the start: 2026-01-01T00:00:00Z.
const START: Timestamp = 1_767_225_600_000;

/// What the driver cannot do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DriverError {
    /// A value cannot be written or read with its schema, or numbers cannot be registered.
    #[error("{0}")]
    Value(String),
}

/// A dead letter with its reason.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// The record as it came.
    pub record: RawRecord,
    /// Why it is here.
    pub reason: Reason,
}

/// One partition of every topic, one task of every sub-topology, time by hand.
pub struct TestDriver {
    topology: Topology,
    environment: Environment,
    schemas: LocalSchemas,
    tasks: Vec<Running>,
    log: BTreeMap<String, Vec<RawRecord>>,
    committed: HashMap<String, CommitPoint>,
    transaction: Transaction,
    open: Open,
    read_to: HashMap<String, usize>,
    now: Timestamp,
    runtime: tokio::runtime::Runtime,
    halt: Option<Halt>,
    is_committing: bool,
}

/// What the open transaction holds.
#[derive(Default)]
struct Open {
    sent: Vec<Outgoing>,
    offsets: Offsets,
    /// The broker refuses the next commit.
    is_refusing: bool,
}

impl Transactional for Open {
    fn begin(&mut self) -> Result<(), TransactionError> {
        Ok(())
    }

    fn dispatch(&mut self) {}

    fn send_offsets(&mut self, offsets: &Offsets) -> Result<(), TransactionError> {
        self.offsets.clone_from(offsets);
        Ok(())
    }

    fn commit(&mut self) -> Result<(), TransactionError> {
        if std::mem::take(&mut self.is_refusing) {
            let message = "the test refuses this commit".to_owned();
            return Err(TransactionError { kind: ErrorKind::Abort, message });
        }
        Ok(())
    }

    fn abort(&mut self) -> Result<(), TransactionError> {
        *self = Self::default();
        Ok(())
    }
}

struct Running {
    task: Task,
    positions: Vec<usize>,
}

impl TestDriver {
    /// Starts the topology, at least once. Every record is committed at once unless
    /// [`TestDriver::hold_commits`] says otherwise.
    pub fn new(topology: Topology) -> Result<Self, DriverError> {
        Self::with_guarantee(topology, Guarantee::AtLeastOnce)
    }

    /// Starts the topology under a guarantee. Under exactly-once, topics show what is committed.
    pub fn with_guarantee(topology: Topology, guarantee: Guarantee) -> Result<Self, DriverError> {
        let schemas = LocalSchemas::default();
        let mut schema_ids = HashMap::new();
        for sink in topology.subs.iter().flat_map(|sub| &sub.sinks) {
            let id = schemas.pin(&sink.topic, sink.schema).map_err(text)?;
            schema_ids.insert(sink.topic.clone(), id);
        }
        let environment = Environment {
            schemas: Arc::new(schemas.clone()),
            schema_ids,
            metrics: Metrics::new(topology.application_id()).map_err(text)?,
            names: Names::default(),
            retry: RetryPolicy::default(),
            commit_interval: Duration::ZERO,
            guarantee,
            is_durable: false,
            seed: 1,
        };
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(text)?;
        let mut driver = Self {
            topology,
            environment,
            schemas,
            tasks: Vec::new(),
            log: BTreeMap::new(),
            committed: HashMap::new(),
            transaction: Transaction::new(0, START),
            open: Open::default(),
            read_to: HashMap::new(),
            now: START,
            runtime,
            halt: None,
            is_committing: true,
        };
        driver.start()?;
        Ok(driver)
    }

    /// Puts a record on a topic at the driver's time and runs until nothing moves.
    pub fn pipe<K: Key, V: Value>(
        &mut self,
        topic: &str,
        key: &K,
        value: &V,
    ) -> Result<(), DriverError> {
        self.pipe_at(topic, key, value, self.now)
    }

    /// The same with this time instead, in milliseconds since the Unix epoch.
    pub fn pipe_at<K: Key, V: Value>(
        &mut self,
        topic: &str,
        key: &K,
        value: &V,
        timestamp: Timestamp,
    ) -> Result<(), DriverError> {
        let schema = keep(V::get_schema());
        let id = self.schemas.pin(topic, schema).map_err(text)?;
        let value = Encoder::new(id, schema).and_then(|mut e| e.encode(value)).map_err(text)?;
        self.put(topic, Some(key.encode()), Some(value), timestamp, Headers::new());
        Ok(())
    }

    /// Puts a record on a topic as bytes: a poison record, say.
    pub fn pipe_bytes(
        &mut self,
        topic: &str,
        key: Option<Bytes>,
        value: Option<Bytes>,
        headers: Headers,
    ) {
        self.put(topic, key, value, self.now, headers);
    }

    fn put(
        &mut self,
        topic: &str,
        key: Option<Bytes>,
        value: Option<Bytes>,
        timestamp: Timestamp,
        headers: Headers,
    ) {
        let (topic, timestamp) = (Arc::from(topic), Some(timestamp));
        self.append(Outgoing { topic, partition: None, key, value, timestamp, headers });
        self.settle();
    }

    /// Lets time pass: waits end, punctuations come due.
    pub fn advance(&mut self, by: Duration) {
        let end = self.now.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX));
        // Stops at every moment at which something is due, as a real clock would.
        while let Some(next) = self
            .tasks
            .iter()
            .filter_map(|running| running.task.next_wakeup())
            .filter(|at| *at > self.now && *at < end)
            .min()
        {
            self.now = next;
            self.settle();
        }
        self.now = end;
        self.settle();
    }

    /// The driver's time.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Records of a topic since the last `read` of it.
    pub fn read<K: Key, V: Value>(
        &mut self,
        topic: &str,
    ) -> Result<Vec<Record<K, V>>, DriverError> {
        let from = self.read_to.get(topic).copied().unwrap_or_default();
        let records = self.log.get(topic).map(Vec::as_slice).unwrap_or_default();
        self.read_to.insert(topic.to_owned(), records.len());
        let mut decoder = Decoder::new(Arc::new(self.schemas.clone()), keep(V::get_schema()));
        records
            .iter()
            .skip(from)
            .map(|raw| {
                let key = raw.key.clone().unwrap_or_default();
                let value = raw.value.clone().unwrap_or_default();
                Ok(Record {
                    key: K::decode(&key).map_err(text)?,
                    value: decoder.decode(&value).map_err(text)?,
                    timestamp: raw.timestamp,
                    position: raw.position.clone(),
                    headers: raw.headers.clone(),
                })
            })
            .collect()
    }

    /// Every record of a topic, as bytes.
    pub fn records(&self, topic: &str) -> &[RawRecord] {
        self.log.get(topic).map(Vec::as_slice).unwrap_or_default()
    }

    /// Every dead letter so far.
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        self.records(&self.topology.dead_letter_topic())
            .iter()
            .filter_map(|record| {
                let reason = Reason::read(&record.headers)?;
                Some(DeadLetter { record: record.clone(), reason })
            })
            .collect()
    }

    /// The committed offset of a topic; `None` before the first commit.
    pub fn committed(&self, topic: &str) -> Option<i64> {
        self.committed.get(topic).map(|point| point.offset)
    }

    /// Looks into a store.
    pub fn store<K: Key, V: Serialize + DeserializeOwned>(
        &self,
        store: &Store<K, V>,
    ) -> StoreView<'_, K, V> {
        StoreView {
            task: self.tasks.get(store.sub).map(|running| &running.task),
            index: store.index,
            types: PhantomData,
        }
    }

    /// How many ids a dedupe store remembers.
    pub fn remembered(&self, store: &DedupeStore) -> usize {
        let id = store.id();
        let task = self.tasks.get(id.sub).map(|running| &running.task);
        task.and_then(|task| task.state(id.index)).map_or(0, State::len)
    }

    /// Why the application stopped, when it did.
    pub fn halted(&self) -> Option<&Halt> {
        self.halt.as_ref()
    }

    /// From here on nothing is committed: what a crash before the commit leaves.
    pub fn hold_commits(&mut self) {
        self.is_committing = false;
    }

    /// The broker refuses the next transaction at its commit: it is aborted, and its records are
    /// handled again.
    pub fn abort_next_commit(&mut self) {
        self.open.is_refusing = true;
    }

    /// Time passes while the process is not there: nothing runs.
    pub fn skip(&mut self, by: Duration) {
        let by_ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.now = self.now.saturating_add(by_ms);
    }

    /// The clock is put back, as when a machine's time was wrong.
    pub fn step_back(&mut self, by: Duration) {
        let by_ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.now = self.now.saturating_sub(by_ms);
        self.settle();
    }

    /// The graph as text.
    pub fn describe(&self) -> String {
        self.topology.describe()
    }

    /// The process dies and comes back: state from the changelogs, input from the committed
    /// offsets. Commits are no longer held.
    pub fn restart(&mut self) -> Result<(), DriverError> {
        self.is_committing = true;
        self.halt = None;
        self.start()?;
        self.settle();
        Ok(())
    }

    fn start(&mut self) -> Result<(), DriverError> {
        self.tasks.clear();
        self.transaction = Transaction::new(0, self.now);
        self.open = Open::default();
        for sub in 0..self.topology.subs.len() {
            let mut task =
                Task::new(&self.topology, sub, 0, &self.environment, self.now).map_err(text)?;
            let topics: Vec<Arc<str>> = task.input_topics().cloned().collect();
            let (mut positions, mut starts) = (Vec::new(), Vec::new());
            for (index, topic) in topics.iter().enumerate() {
                // As a stream thread does: the first offset is committed before the first record.
                let committed = self.committed.entry(topic.to_string()).or_default().clone();
                positions.push(usize::try_from(committed.offset).unwrap_or_default());
                starts.push((index, committed));
            }
            self.restore(&mut task)?;
            for (index, point) in starts {
                task.set_committed(index, point);
            }
            self.tasks.push(Running { task, positions });
        }
        Ok(())
    }

    fn restore(&self, task: &mut Task) -> Result<(), DriverError> {
        let changelogs: Vec<_> =
            task.changelogs().map(|(i, topic, kind)| (i, Arc::clone(topic), kind)).collect();
        let is_handled = |source: &Position| {
            self.committed.get(&*source.topic).is_some_and(|point| point.covers(source.offset))
        };
        for (store, topic, kind) in changelogs {
            let mut left_out = std::collections::BTreeSet::new();
            for record in self.records(&topic) {
                entries(record, kind, is_handled, |entry| {
                    if entry.is_committed {
                        left_out.remove(&entry.key);
                        task.restore(store, entry.key, entry.value);
                    } else {
                        left_out.insert(entry.key);
                    }
                })
                .map_err(text)?;
            }
            for key in left_out {
                task.correct(store, key);
            }
        }
        Ok(())
    }

    /// Feeds, ticks and carries out until nothing moves.
    fn settle(&mut self) {
        loop {
            let mut has_moved = false;
            for index in 0..self.tasks.len() {
                has_moved |= self.step(index);
            }
            has_moved |= self.is_committing && self.transact();
            if !has_moved || self.halt.is_some() {
                return;
            }
        }
    }

    fn step(&mut self, index: usize) -> bool {
        let now = self.now;
        let Some(running) = self.tasks.get_mut(index) else { return false };
        let mut has_moved = false;
        let topics: Vec<Arc<str>> = running.task.input_topics().cloned().collect();
        for (input, topic) in topics.iter().enumerate() {
            let Some(position) = running.positions.get_mut(input) else { continue };
            let records = self.log.get(&**topic).map(Vec::as_slice).unwrap_or_default();
            for record in records.iter().skip(*position) {
                has_moved = true;
                running.task.handle(Event::Fetched { input, record: record.clone() }, now);
            }
            *position = records.len();
        }
        running.task.tick(now);
        for command in running.task.take_commands() {
            has_moved |= self.carry_out(index, &topics, command);
        }
        has_moved
    }

    fn carry_out(&mut self, index: usize, topics: &[Arc<str>], command: Command) -> bool {
        let is_transactional =
            self.tasks.get(index).is_some_and(|running| running.task.is_transactional());
        let event = match command {
            Command::Send { record, .. } if is_transactional => {
                if self.transaction.open(&mut self.open).is_ok() {
                    self.open.sent.push(record);
                }
                return true;
            }
            Command::Send { id, record } => {
                self.append(record);
                Event::Acknowledged(id)
            }
            Command::Call { entry, call, wanted } => {
                let answer = self.runtime.block_on(wanted.into_future());
                Event::Answered { entry, call, answer }
            }
            Command::Commit { offsets } => {
                if !self.is_committing {
                    return false;
                }
                for (input, offset) in offsets {
                    if let Some(topic) = topics.get(input) {
                        self.committed.insert(topic.to_string(), offset);
                    }
                }
                Event::Committed { is_ok: true }
            }
            Command::Pause { .. } | Command::Resume { .. } | Command::Save(_) => return false,
            Command::Halt(halt) => {
                self.halt = Some(halt);
                return true;
            }
        };
        if let Some(running) = self.tasks.get_mut(index) {
            running.task.handle(event, self.now);
        }
        true
    }

    /// Takes the transaction a step on.
    fn transact(&mut self) -> bool {
        let tasks = self.tasks.iter_mut().map(|running| &mut running.task);
        let mut tasks: Vec<&mut Task> = tasks.filter(|task| task.is_transactional()).collect();
        match self.transaction.step(&mut tasks, &mut self.open, true, self.now) {
            // A commit that was refused is aborted with the next step.
            Progress::Waiting => self.transaction.next_at(self.now).is_none(),
            Progress::HandOver => {
                // What the tasks sent last is taken up before the next step.
                for index in 0..self.tasks.len() {
                    let commands =
                        self.tasks.get_mut(index).map(|running| running.task.take_commands());
                    for command in commands.into_iter().flatten() {
                        self.carry_out(index, &[], command);
                    }
                }
                true
            }
            Progress::Committed => {
                let Open { sent, offsets, .. } = std::mem::take(&mut self.open);
                for record in sent {
                    self.append(record);
                }
                for (topic, _, point) in offsets {
                    self.committed.insert(topic.to_string(), point);
                }
                true
            }
            Progress::Aborted => true,
            Progress::Fatal(_) => false,
        }
    }

    fn append(&mut self, record: Outgoing) {
        let log = self.log.entry(record.topic.to_string()).or_default();
        let offset = i64::try_from(log.len()).unwrap_or(i64::MAX);
        log.push(RawRecord {
            position: Position { topic: record.topic, partition: 0, offset },
            timestamp: record.timestamp.unwrap_or(self.now),
            key: record.key,
            value: record.value,
            headers: record.headers,
        });
    }
}

/// A store, to look into.
pub struct StoreView<'a, K, V> {
    task: Option<&'a Task>,
    index: usize,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K: Key, V: DeserializeOwned> StoreView<'_, K, V> {
    /// The value of a key.
    pub fn get(&self, key: &K) -> Option<V> {
        let state = self.task.and_then(|task| task.state(self.index))?.key_value()?;
        state.get(&key.encode()).and_then(|bytes| serde_json::from_slice(bytes).ok())
    }

    /// Every entry.
    pub fn all(&self) -> Vec<(K, V)> {
        let state = self.task.and_then(|task| task.state(self.index));
        let Some(state) = state.and_then(|state| state.key_value()) else {
            return Vec::new();
        };
        let bounds = (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded);
        state
            .range(bounds.0, bounds.1)
            .filter_map(|(key, value)| {
                Some((K::decode(key).ok()?, serde_json::from_slice(value).ok()?))
            })
            .collect()
    }
}

impl std::fmt::Debug for TestDriver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestDriver")
            .field("application_id", &self.topology.application_id())
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

impl<K, V> std::fmt::Debug for StoreView<'_, K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreView").field("index", &self.index).finish_non_exhaustive()
    }
}

fn text(error: impl std::fmt::Display) -> DriverError {
    DriverError::Value(error.to_string())
}
