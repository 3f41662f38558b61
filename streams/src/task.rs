//! The task core: events and time in, commands out. No broker, no clock, no runtime.
//!
//! A task runs one sub-topology for one partition number. The stream thread, the test driver and
//! the simulation feed it the same events and carry out the same commands.
//!
//! What makes at-least-once hold: a commit of offset *n* is asked for only after every record that
//! the inputs below *n* caused is acknowledged, outputs first, then the changelog. So a crash may
//! repeat an output and never loses one (`streams/src/testing/simulation.rs`).

mod commit;
mod lanes;
mod offsets;
pub(crate) mod restore;
mod retry;
mod run;
mod sends;
mod setup;

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, VecDeque},
    sync::Arc,
};

use bytes::Bytes;

use crate::{
    context::SinkState,
    disposition::Failure,
    node::{CallFuture, Node, Opaque},
    record::{Outgoing, Position, RawRecord, Timestamp},
    store::KeyValueStore,
};

use commit::Commit;
pub(crate) use lanes::Lane;
use lanes::Lanes;
use offsets::OffsetTracker;
pub use retry::RetryPolicy;
pub(crate) use sends::SendId;
use sends::{Purpose, Sends};
pub(crate) use setup::{Environment, TaskSettings};

/// Header of a changelog record: the input record that caused the change.
pub(crate) const SOURCE_HEADER: &str = "__streams.source";

/// Records of one partition that wait in a task before the partition is paused.
const BUFFERED_RECORDS_MAX: usize = 2_000;

/// From the oldest unfinished to the newest fetched record before the partition is paused.
const OPEN_SPAN_MAX: usize = 16_384;

/// Outputs and changes on their way before no new record is begun.
const SENDS_MAX: usize = 50_000;

/// A record inside a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct EntryId(pub(crate) u64);

/// What happens to a task.
pub(crate) enum Event {
    /// A record of the input's partition.
    Fetched { input: usize, record: RawRecord },
    /// The broker has it.
    Acknowledged(SendId),
    /// The broker will not have it.
    Refused { send: SendId, failure: Failure },
    /// A call came back.
    Answered { entry: EntryId, call: u32, answer: Result<Opaque, Failure> },
    /// The offsets of the last `Commit` are committed, or are not.
    Committed { is_ok: bool },
}

/// What a task wants done.
pub(crate) enum Command {
    /// Produce it; answer `Acknowledged` or `Refused`.
    Send { id: SendId, record: Outgoing },
    /// Run it off the thread; answer `Answered`.
    Call { entry: EntryId, call: u32, future: CallFuture },
    /// Commit these offsets per input; answer `Committed`.
    Commit { offsets: Vec<(usize, i64)> },
    /// Fetch nothing more of this input for now.
    Pause { input: usize },
    /// Fetch again.
    Resume { input: usize },
    /// Stop without committing.
    Halt(Halt),
}

/// Why an application stops without committing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place} stopped{}: {message}", .position.as_ref().map(|p| format!(" at {p}")).unwrap_or_default())]
pub struct Halt {
    /// Application and processor.
    pub place: String,
    /// The record, where there is one.
    pub position: Option<Position>,
    /// What happened and what to do.
    pub message: String,
}

/// One source topic of the task.
struct Input {
    topic: Arc<str>,
    node: usize,
    offsets: OffsetTracker,
    committed: Option<i64>,
    buffered: usize,
    is_paused: bool,
}

struct Store {
    topic: Arc<str>,
    is_ledger: bool,
}

struct NodeState {
    name: String,
    node: Box<dyn Node>,
    connections: crate::context::Connections,
    order: crate::topology::Order,
    in_flight_max: usize,
    in_flight: usize,
    punctuate_every_ms: Option<i64>,
    punctuate_at: Timestamp,
}

/// Where a record is on its way through the task.
enum Stage {
    /// Behind others of its lane, or about to begin.
    Waiting,
    /// Called as soon as what it wrote is acknowledged.
    Recording { pending: Opaque, mark: SendId },
    /// Called; the answer is awaited.
    Calling { pending: Opaque },
    /// Failed; tried again later, by a call when there is something pending.
    Resting { pending: Option<Opaque> },
}

struct Entry {
    input: usize,
    lane: Lane,
    record: Arc<RawRecord>,
    stage: Stage,
    /// Counted failures.
    failures: u32,
    /// Calls made.
    calls: u32,
    called_at: Timestamp,
    first_failure_at: Option<Timestamp>,
}

/// A change of a state store that is not on its way yet.
struct PendingChange {
    store: usize,
    key: Bytes,
    value: Option<Bytes>,
    source: Option<Position>,
}

pub(crate) struct Task {
    partition: i32,
    settings: TaskSettings,
    inputs: Vec<Input>,
    nodes: Vec<NodeState>,
    stores: Vec<Store>,
    state: Vec<KeyValueStore>,
    sinks: Vec<SinkState>,
    entries: HashMap<EntryId, Entry>,
    next_entry: u64,
    lanes: Lanes,
    ready: VecDeque<EntryId>,
    recording: Vec<EntryId>,
    resting: BinaryHeap<Reverse<(Timestamp, EntryId)>>,
    sends: Sends,
    changes: VecDeque<PendingChange>,
    commit: Commit,
    stream_time: Timestamp,
    is_draining: bool,
    is_halted: bool,
    rng: fastrand::Rng,
    commands: Vec<Command>,
}

impl Task {
    /// Takes an event.
    pub(crate) fn handle(&mut self, event: Event, now: Timestamp) {
        if self.is_halted {
            return;
        }
        match event {
            Event::Fetched { input, record } => self.fetched(input, record),
            Event::Acknowledged(send) => {
                self.sends.end(send);
            }
            Event::Refused { send, failure } => self.refused(send, &failure, now),
            Event::Answered { entry, call, answer } => self.answered(entry, call, answer, now),
            Event::Committed { is_ok } => self.committed(is_ok, now),
        }
    }

    /// Lets time pass: begins what may begin, repeats what is due, punctuates, commits.
    pub(crate) fn tick(&mut self, now: Timestamp) {
        if self.is_halted {
            return;
        }
        self.wake(now);
        self.begin_ready(now);
        self.call_recorded(now);
        self.punctuate(now);
        self.advance_commit(now);
        self.regulate();
    }

    /// The commands since the last time, in order.
    pub(crate) fn take_commands(&mut self) -> Vec<Command> {
        std::mem::take(&mut self.commands)
    }

    /// Begins nothing new from here on; calls that are out may still come back.
    pub(crate) fn drain(&mut self) {
        self.is_draining = true;
    }

    /// Whether a drained task waits for nothing but its last commit.
    pub(crate) fn is_drained(&self) -> bool {
        let is_out =
            |entry: &Entry| matches!(entry.stage, Stage::Calling { .. } | Stage::Recording { .. });
        self.is_halted || !self.entries.values().any(is_out)
    }

    /// Asks for a commit now rather than at the next interval.
    pub(crate) fn flush(&mut self, now: Timestamp) {
        self.commit.hurry(now);
    }

    /// Whether everything finished is committed and everything written acknowledged.
    pub(crate) fn is_clean(&self) -> bool {
        self.is_halted
            || (self.commit.is_idle()
                && self.changes.is_empty()
                && self.sends.len() == 0
                && self.uncommitted().is_empty())
    }

    /// When `tick` has something to do again, as far as time alone decides it.
    pub(crate) fn next_wakeup(&self) -> Option<Timestamp> {
        let resting = self.resting.peek().map(|Reverse((at, _))| *at);
        let punctuation = self
            .nodes
            .iter()
            .filter(|node| node.punctuate_every_ms.is_some())
            .map(|node| node.punctuate_at)
            .min();
        let commit = self.commit.next_at().filter(|_| self.is_dirty());
        [resting, punctuation, commit].into_iter().flatten().min()
    }

    /// Whether it waits for acknowledgements or answers.
    pub(crate) fn is_waiting(&self) -> bool {
        self.sends.len() > 0 || self.nodes.iter().any(|node| node.in_flight > 0)
    }

    /// A restored entry of a store, in the order of the changelog.
    pub(crate) fn restore(&mut self, store: usize, key: Bytes, value: Option<Bytes>) {
        if let Some(state) = self.state.get_mut(store) {
            state.apply(key, value);
        }
    }

    /// The offset that was committed before the task was made.
    pub(crate) fn set_committed(&mut self, input: usize, offset: i64) {
        if let Some(input) = self.inputs.get_mut(input) {
            input.committed = Some(offset);
        }
    }

    /// Entries of all stores.
    pub(crate) fn state_len(&self) -> usize {
        self.state.iter().map(KeyValueStore::len).sum()
    }

    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn state(&self, store: usize) -> Option<&KeyValueStore> {
        self.state.get(store)
    }

    /// Topics of the inputs, in the order of the sub-topology's sources.
    pub(crate) fn input_topics(&self) -> impl Iterator<Item = &Arc<str>> {
        self.inputs.iter().map(|input| &input.topic)
    }

    /// Changelogs of the stores: index, topic, whether it is an effect ledger.
    pub(crate) fn changelogs(&self) -> impl Iterator<Item = (usize, &Arc<str>, bool)> {
        self.stores.iter().enumerate().map(|(index, store)| (index, &store.topic, store.is_ledger))
    }

    fn fetched(&mut self, input_index: usize, record: RawRecord) {
        let Some(input) = self.inputs.get_mut(input_index) else { return };
        if !input.offsets.fetched(record.position.offset) {
            return;
        }
        input.buffered = input.buffered.saturating_add(1);
        self.stream_time = self.stream_time.max(record.timestamp);
        let order = self.nodes.get(input.node).map(|node| node.order);
        let lane = match (order, &record.key) {
            (Some(crate::topology::Order::Key), Some(key)) => Lane::Key(key.clone()),
            _ => Lane::Source(input_index),
        };
        let id = EntryId(self.next_entry);
        self.next_entry = self.next_entry.saturating_add(1);
        if self.lanes.join(&lane, id) {
            self.ready.push_back(id);
        }
        self.entries.insert(
            id,
            Entry {
                input: input_index,
                lane,
                record: Arc::new(record),
                stage: Stage::Waiting,
                failures: 0,
                calls: 0,
                called_at: 0,
                first_failure_at: None,
            },
        );
    }

    /// Pauses inputs that are full and resumes those that have room again.
    fn regulate(&mut self) {
        for (index, input) in self.inputs.iter_mut().enumerate() {
            let is_full =
                input.buffered >= BUFFERED_RECORDS_MAX || input.offsets.span() >= OPEN_SPAN_MAX;
            let has_room = input.buffered < BUFFERED_RECORDS_MAX / 2
                && input.offsets.span() < OPEN_SPAN_MAX / 2;
            if is_full && !input.is_paused {
                input.is_paused = true;
                self.commands.push(Command::Pause { input: index });
            } else if has_room && input.is_paused {
                input.is_paused = false;
                self.commands.push(Command::Resume { input: index });
            }
        }
    }

    fn halt(&mut self, node: &str, position: Option<Position>, message: String) {
        self.is_halted = true;
        let place = format!("{}/{node}", self.settings.application_id);
        self.commands.push(Command::Halt(Halt { place, position, message }));
    }
}
