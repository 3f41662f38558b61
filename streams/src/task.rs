//! The task core: events and time in, commands out. No broker, no clock, no runtime.
//!
//! A task runs one sub-topology for one partition number. The stream thread, the test driver and
//! the simulation feed it the same events and carry out the same commands.
//!
//! What makes at-least-once hold: a commit of offset *n* is asked for only after every record that
//! the inputs below *n* caused is acknowledged, outputs first, then the changelog. So a crash may
//! repeat an output and never loses one (`streams/src/testing/simulation.rs`).
//!
//! What makes exactly-once hold: everything a task writes goes into the thread's transaction
//! ([`transaction`]) together with its offsets; an abort takes back what its stores learned and
//! handles the same records again.

mod abort;
mod block;
mod changes;
mod commit;
pub(crate) mod commit_point;
mod lanes;
mod offsets;
pub(crate) mod restore;
mod retry;
mod run;
mod sends;
mod serial;
mod setup;
pub(crate) mod snapshot;
pub(crate) mod transaction;

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap, HashMap, VecDeque},
    sync::Arc,
};

use crate::{
    context::SinkState,
    disposition::Failure,
    node::{Call, Node, Opaque},
    record::{Outgoing, Position, RawRecord, Timestamp},
    store::State,
    topology::{Order, StoreKind},
    topology_file::Guarantee,
};

use changes::Applied;
pub(crate) use changes::{Frame, Saved};
use commit::Commit;
use commit_point::{CommitPoint, FINISHED_AHEAD_MAX};
pub(crate) use lanes::Lane;
use lanes::Lanes;
use offsets::{Fetched, OffsetTracker};
pub use retry::RetryPolicy;
pub(crate) use sends::SendId;
use sends::{Purpose, Sends};
use serial::Serial;
pub(crate) use setup::{Environment, TaskSettings};

/// Header of a changelog record: the input record that caused the change.
pub(crate) const SOURCE_HEADER: &str = "__streams.source";

/// Records of one partition that wait in a task before the partition is paused; four times the
/// calls in flight where that is more, so that keys that repeat do not starve the others.
const BUFFERED_RECORDS_MAX: usize = 2_000;

/// From the oldest unfinished to the newest fetched offset before the partition is paused: what a
/// commit's metadata can describe.
const OPEN_SPAN_MAX: usize = FINISHED_AHEAD_MAX;

/// How far the clock may step back before what is due is counted anew from where it stands.
const CLOCK_STEP_BACK_MS: Timestamp = 1_000;

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
    Call { entry: EntryId, call: u32, wanted: Call },
    /// Commit these offsets per input; answer `Committed`.
    Commit { offsets: Vec<(usize, CommitPoint)> },
    /// Keep what was committed on disk.
    Save(Frame),
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
    order: Order,
    offsets: OffsetTracker,
    committed: Option<CommitPoint>,
    /// Something was finished since the last commit point was taken.
    is_touched: bool,
    buffered: usize,
    buffered_max: usize,
    is_paused: bool,
    /// The oldest unfinished offset of a full input, and since when it has been that.
    blocked: Option<(i64, Timestamp)>,
    serial: Serial,
    /// The first records of their lanes, which may begin. Ids rise with offsets, so the oldest is first:
    /// the one that lets a commit go on, and when it is out of reach, all of them are.
    ready: BTreeSet<EntryId>,
}

struct Store {
    topic: Arc<str>,
    kind: StoreKind,
    is_ledger: bool,
}

struct NodeState {
    name: String,
    node: Box<dyn Node>,
    connections: crate::context::Connections,
    in_flight_max: usize,
    in_flight: usize,
    max_block_ms: i64,
    punctuate_every_ms: Option<i64>,
    punctuate_at: Timestamp,
    stream_every_ms: Option<i64>,
    /// The stream time at which it is punctuated next; `None` before the first record.
    stream_at: Option<Timestamp>,
    processed: prometheus::IntCounter,
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
    /// A call made before an abort is still out.
    is_call_out: bool,
    /// The answer to a call made before an abort.
    answer: Option<Opaque>,
}

#[expect(clippy::struct_excessive_bools, reason = "each says one thing; none follows from another")]
pub(crate) struct Task {
    sub: usize,
    partition: i32,
    settings: TaskSettings,
    inputs: Vec<Input>,
    nodes: Vec<NodeState>,
    stores: Vec<Store>,
    state: Vec<State>,
    sinks: Vec<SinkState>,
    entries: HashMap<EntryId, Entry>,
    next_entry: u64,
    lanes: Lanes,
    recording: Vec<EntryId>,
    resting: BinaryHeap<Reverse<(Timestamp, EntryId)>>,
    sends: Sends,
    /// What the stores learned and is not committed yet, in order.
    changes: VecDeque<Applied>,
    commit: Commit,
    stream_time: Timestamp,
    committed_stream_time: Timestamp,
    /// Records of keyed inputs that were finished in the open transaction.
    handled: Vec<(EntryId, Entry)>,
    /// Records whose outputs the broker refused, by input and offset.
    refused: HashMap<(usize, i64), Failure>,
    is_abort_wanted: bool,
    /// The transaction is being committed: nothing may be written.
    is_held: bool,
    held_answers: Vec<(EntryId, u32, Result<Opaque, Failure>)>,
    /// Taken by every call in turn, so that a record costs no allocation.
    spare_writes: crate::context::Writes,
    last_now: Timestamp,
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
            Event::Answered { entry, call, answer } if self.is_held => {
                self.held_answers.push((entry, call, answer));
            }
            Event::Answered { entry, call, answer } => self.answered(entry, call, answer, now),
            Event::Committed { is_ok } => self.committed(is_ok, now),
        }
    }

    /// Lets time pass: begins what may begin, repeats what is due, punctuates, commits.
    pub(crate) fn tick(&mut self, now: Timestamp) {
        if self.is_halted {
            return;
        }
        self.follow_clock(now);
        if !self.is_held {
            for (entry, call, answer) in std::mem::take(&mut self.held_answers) {
                self.answered(entry, call, answer, now);
            }
            self.wake(now);
            self.process_serial(now);
            self.begin_ready(now);
            self.call_recorded(now);
            self.punctuate(now);
        }
        if !self.is_transactional() {
            self.advance_commit(now);
        }
        self.regulate(now);
    }

    /// Whether its work belongs to the thread's transaction.
    pub(crate) fn is_transactional(&self) -> bool {
        self.settings.guarantee == Guarantee::ExactlyOnce
    }

    /// A clock that steps back takes what is due with it; otherwise everything would wait until it is
    /// there again.
    fn follow_clock(&mut self, now: Timestamp) {
        let back = self.last_now.saturating_sub(now);
        self.last_now = now;
        if back < CLOCK_STEP_BACK_MS {
            return;
        }
        tracing::warn!(back_ms = back, "the clock stepped back; what is due is moved with it");
        self.commit.shift(back);
        for node in &mut self.nodes {
            node.punctuate_at = node.punctuate_at.saturating_sub(back);
        }
        for input in &mut self.inputs {
            input.serial.shift(back);
            input.blocked = None;
        }
        let resting = std::mem::take(&mut self.resting);
        let moved =
            resting.into_iter().map(|Reverse((at, id))| Reverse((at.saturating_sub(back), id)));
        self.resting = moved.collect();
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

    /// Drained or not, takes up its work again: the partition stays here after all.
    pub(crate) fn undrain(&mut self) {
        self.is_draining = false;
    }

    /// Asks for a commit now rather than at the next interval.
    pub(crate) fn flush(&mut self, now: Timestamp) {
        self.commit.hurry(now);
    }

    /// Whether everything finished is committed and everything written acknowledged.
    pub(crate) fn is_clean(&self) -> bool {
        self.is_halted
            || (self.commit.is_idle()
                && !self.is_held
                && self.changes.is_empty()
                && self.sends.len() == 0
                && !self.is_dirty())
    }

    /// When `tick` has something to do again, as far as time alone decides it.
    pub(crate) fn next_wakeup(&self) -> Option<Timestamp> {
        let resting = self.resting.peek().map(|Reverse((at, _))| *at);
        let serial = self.inputs.iter().filter_map(|input| input.serial.rests_until()).min();
        let punctuation = self
            .nodes
            .iter()
            .filter(|node| node.punctuate_every_ms.is_some())
            .map(|node| node.punctuate_at)
            .min();
        let commit = self.commit.next_at().filter(|_| self.is_dirty() && !self.is_transactional());
        [resting, serial, punctuation, commit].into_iter().flatten().min()
    }

    /// Whether it waits for acknowledgements, which nobody wakes the thread for.
    pub(crate) fn waits_for_broker(&self) -> bool {
        !self.is_transactional() && self.sends.len() > 0
    }

    /// The offset that was committed before the task was made: it goes on from there.
    pub(crate) fn set_committed(&mut self, input: usize, point: CommitPoint) {
        let Some(input) = self.inputs.get_mut(input) else { return };
        input.offsets.begin(point.offset, &point.finished);
        self.stream_time = self.stream_time.max(point.stream_time);
        self.committed_stream_time = self.stream_time;
        if point.stream_time > 0 {
            for node in &mut self.nodes {
                node.stream_at = node.stream_every_ms.map(|every| after(point.stream_time, every));
            }
        }
        input.committed = Some(point);
    }

    /// Entries of all stores.
    pub(crate) fn state_len(&self) -> usize {
        self.state.iter().map(State::len).sum()
    }

    /// A store.
    pub(crate) fn state(&self, store: usize) -> Option<&State> {
        self.state.get(store)
    }

    /// How far each input is handled: every record below is reflected in the stores.
    pub(crate) fn positions(&self) -> impl Iterator<Item = (&Arc<str>, Option<i64>)> {
        self.inputs.iter().map(|input| (&input.topic, input.offsets.watermark()))
    }

    /// Its sub-topology and partition: what it is known by.
    pub(crate) fn id(&self) -> (usize, i32) {
        (self.sub, self.partition)
    }

    /// The offset an input expects next; `None` before it has begun.
    pub(crate) fn next_offset(&self, input: usize) -> Option<i64> {
        self.inputs.get(input).and_then(|input| input.offsets.next())
    }

    /// The partition number of its inputs, its stores and its changelogs.
    pub(crate) fn partition(&self) -> i32 {
        self.partition
    }

    /// Topics of the inputs, in the order of the sub-topology's sources.
    pub(crate) fn input_topics(&self) -> impl Iterator<Item = &Arc<str>> {
        self.inputs.iter().map(|input| &input.topic)
    }

    /// Changelogs of the stores: index, topic, what is in it.
    pub(crate) fn changelogs(&self) -> impl Iterator<Item = (usize, &Arc<str>, StoreKind)> {
        self.stores.iter().enumerate().map(|(index, store)| (index, &store.topic, store.kind))
    }

    /// Between the last record fetched and this offset is none. The next commit goes past it: what a
    /// transaction leaves at the end of a partition would otherwise look like a record that was not
    /// read, and like a lost one as soon as retention deletes it.
    pub(crate) fn passed(&mut self, input: usize, offset: i64) {
        let Some(input) = self.inputs.get_mut(input) else { return };
        if input.offsets.passed(offset) {
            input.is_touched = true;
        }
    }

    fn fetched(&mut self, input_index: usize, record: RawRecord) {
        let Some(input) = self.inputs.get_mut(input_index) else { return };
        match input.offsets.fetched(record.position.offset) {
            Fetched::New => {}
            Fetched::Again => return,
            Fetched::Finished => {
                input.is_touched = true;
                return;
            }
        }
        input.buffered = input.buffered.saturating_add(1);
        let record = Arc::new(record);
        if input.order == Order::Partition {
            input.serial.push(record);
            return;
        }
        let lane = match &record.key {
            Some(key) => Lane::Key(key.clone()),
            None => Lane::Source(input_index),
        };
        let id = EntryId(self.next_entry);
        self.next_entry = self.next_entry.saturating_add(1);
        if self.lanes.join(&lane, id) {
            input.ready.insert(id);
        }
        self.entries.insert(id, Entry::new(input_index, lane, record));
    }

    /// Pauses inputs that are full and resumes those that have room again.
    fn regulate(&mut self, now: Timestamp) {
        for (index, input) in self.inputs.iter_mut().enumerate() {
            let is_full =
                input.buffered >= input.buffered_max || input.offsets.span() >= OPEN_SPAN_MAX;
            let has_room =
                input.buffered < input.buffered_max / 2 && input.offsets.span() < OPEN_SPAN_MAX / 2;
            if is_full && !input.is_paused {
                input.is_paused = true;
                self.settings.metrics.partitions_paused.inc();
                self.commands.push(Command::Pause { input: index });
            } else if has_room && input.is_paused {
                input.is_paused = false;
                input.blocked = None;
                self.settings.metrics.partitions_paused.dec();
                self.commands.push(Command::Resume { input: index });
            }
        }
        self.unblock(now);
    }

    fn halt(&mut self, node: &str, position: Option<Position>, message: String) {
        self.is_halted = true;
        let place = format!("{}/{node}", self.settings.application_id);
        self.commands.push(Command::Halt(Halt { place, position, message }));
    }
}

/// What a task that goes was counted for, somebody else's is counted for now.
impl Drop for Task {
    fn drop(&mut self) {
        let metrics = &self.settings.metrics;
        for _ in self.inputs.iter().filter(|input| input.is_paused) {
            metrics.partitions_paused.dec();
        }
        for entry in self.entries.values() {
            if (entry.is_call_out || matches!(entry.stage, Stage::Calling { .. }))
                && let Some(node) = self.inputs.get(entry.input).map(|input| input.node)
                && let Some(node) = self.nodes.get(node)
            {
                metrics.calls_in_flight.with_label_values(&[&node.name]).dec();
            }
        }
    }
}

impl Entry {
    fn new(input: usize, lane: Lane, record: Arc<RawRecord>) -> Self {
        Self {
            input,
            lane,
            record,
            stage: Stage::Waiting,
            failures: 0,
            calls: 0,
            called_at: 0,
            first_failure_at: None,
            is_call_out: false,
            answer: None,
        }
    }
}

/// The first multiple of `every` after `time`.
fn after(time: Timestamp, every: i64) -> Timestamp {
    let every = every.max(1);
    time.div_euclid(every).saturating_add(1).saturating_mul(every)
}
