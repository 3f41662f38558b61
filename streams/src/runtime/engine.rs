//! The tasks of a stream thread and what carries out their commands.

mod calls;
mod close;
mod commits;
mod fetch;
mod saves;
mod sends;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use bytes::BytesMut;
use rdkafka::{
    TopicPartitionList,
    consumer::{Consumer as _, ConsumerGroupMetadata},
};
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use super::{group::Consumer, producer::Producer};
use crate::{
    clock::Clock,
    native::{self, Waker},
    record::{Outgoing, Timestamp},
    task::{
        Command, Environment, Halt, SendId, Task, commit_point::CommitPoint,
        transaction::Transaction,
    },
    topology::Topology,
    wire::EncodeError,
};

use calls::Answers;
use saves::Kept;
pub(super) use saves::{Beginning, StateDirectory};

/// A task and its generation: answers and reports of an earlier one are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Owner {
    pub(super) sub: usize,
    pub(super) partition: i32,
    pub(super) generation: u64,
}

pub(super) struct Running {
    pub(super) owner: Owner,
    pub(super) task: Task,
    pub(super) is_restored: bool,
    /// Its state directory.
    kept: Option<Kept>,
    /// Offsets the task wants committed.
    commit: Option<Vec<(usize, CommitPoint)>>,
}

/// What a stream thread works with.
pub(super) struct Equipment {
    /// For what is sent outside transactions; absent where everything is inside.
    pub(super) plain: Option<Producer>,
    /// For transactions; absent where nothing is.
    pub(super) transactional: Option<Producer>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) handle: Handle,
    pub(super) waker: Waker,
    pub(super) drain_timeout: Duration,
    /// Room for calls, over all tasks.
    pub(super) calls: Arc<tokio::sync::Semaphore>,
    pub(super) directory: Option<StateDirectory>,
}

#[cfg(test)]
impl Equipment {
    /// Nothing is sent and nothing kept.
    fn for_tests(handle: Handle) -> Self {
        Self {
            plain: None,
            transactional: None,
            clock: Arc::new(crate::clock::SystemClock),
            handle,
            waker: native::Forwarding::default().waker(),
            drain_timeout: Duration::ZERO,
            calls: Arc::new(tokio::sync::Semaphore::new(1)),
            directory: None,
        }
    }
}

/// Everything a stream thread owns but its consumer.
pub(super) struct Engine {
    pub(super) topology: Arc<Topology>,
    pub(super) environment: Environment,
    equipment: Equipment,
    transaction: Transaction,
    /// The membership that was current when the open transaction began.
    membership: Option<ConsumerGroupMetadata>,
    /// Who the group said we were when the tasks came.
    member: Option<String>,
    /// Records that a producer had no room for, in order. While there are any, no task goes on.
    unsent: VecDeque<(Owner, SendId, Outgoing)>,
    pub(super) tasks: BTreeMap<(usize, i32), Running>,
    /// Who reads a topic: sub-topology and input.
    readers: Vec<(Arc<str>, usize, usize)>,
    /// Owners by the low bits of their generation, which travel with what they send.
    owners: HashMap<u16, Owner>,
    calls: TaskTracker,
    answers: Answers,
    generation: u64,
    arena: BytesMut,
    pub(super) halt: Option<Halt>,
    /// Why the thread has to be made anew.
    pub(super) again: Option<String>,
    has_joined: bool,
    is_paused: bool,
    pauses: Vec<(Arc<str>, i32, bool)>,
}

impl Engine {
    pub(super) fn new(
        topology: Arc<Topology>,
        environment: Environment,
        equipment: Equipment,
    ) -> Self {
        let interval = i64::try_from(environment.commit_interval.as_millis()).unwrap_or(i64::MAX);
        let now = equipment.clock.now();
        let names = &environment.names;
        let sources = topology.subs.iter().enumerate().flat_map(|(sub, spec)| {
            let sources = spec.sources.iter().enumerate();
            sources.map(move |(input, source)| (names.read(&source.topic).into(), sub, input))
        });
        let readers = sources.collect();
        Self {
            topology,
            environment,
            equipment,
            transaction: Transaction::new(interval, now),
            membership: None,
            member: None,
            unsent: VecDeque::new(),
            tasks: BTreeMap::new(),
            readers,
            owners: HashMap::new(),
            calls: TaskTracker::new(),
            answers: Answers::default(),
            generation: 0,
            arena: BytesMut::new(),
            halt: None,
            again: None,
            has_joined: false,
            is_paused: false,
            pauses: Vec::new(),
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.equipment.clock.now()
    }

    /// Whether the group has given this instance its share and all of it is restored.
    pub(super) fn is_ready(&self) -> bool {
        self.has_joined && self.tasks.values().all(|running| running.is_restored)
    }

    /// Makes tasks for new partitions; they are restored by the thread.
    pub(super) fn assign(&mut self, partitions: &[(String, i32)], consumer: &Consumer) {
        self.has_joined = true;
        // Whoever holds partitions through a rebalance holds them under the new generation too.
        self.renew_membership(consumer);
        for (topic, partition) in partitions {
            let Some(sub) = self.sub_of(topic) else { continue };
            if self.tasks.contains_key(&(sub, *partition)) {
                continue;
            }
            if let Err(error) = self.add_task(sub, *partition) {
                self.stop("assign", &error.to_string());
            }
        }
        self.count_tasks();
    }

    /// Takes the current membership for the next transaction, if it is still the same one. A member that
    /// did not answer for longer than its session is thrown out; the client joins again under another
    /// id and may claim the partitions it had, though others have worked on them meanwhile. Then
    /// everything begins again from what is committed, and the old membership stays, which the broker
    /// refuses.
    pub(super) fn renew_membership(&mut self, consumer: &Consumer) {
        let membership = consumer.group_metadata();
        // Asked second: it is never older than the metadata.
        let member = native::member_id(consumer);
        let is_other = member.is_some() && self.member.is_some() && member != self.member;
        if is_other && !self.tasks.is_empty() {
            self.again.get_or_insert_with(|| {
                "the group had given up on this instance, which did not answer for longer than its \
                 session; others may have worked on its partitions"
                    .to_owned()
            });
            return;
        }
        if member.is_some() || self.membership.is_none() {
            self.membership = membership;
            self.member = member;
        }
    }

    fn add_task(&mut self, sub: usize, partition: i32) -> Result<Owner, EncodeError> {
        let now = self.now();
        let task = Task::new(&self.topology, sub, partition, &self.environment, now)?;
        self.generation = self.generation.saturating_add(1);
        let owner = Owner { sub, partition, generation: self.generation };
        self.owners.insert(slot(owner), owner);
        let running = Running { owner, task, is_restored: false, kept: None, commit: None };
        self.tasks.insert((sub, partition), running);
        Ok(owner)
    }

    /// One round: what came back, what is due, what is asked for.
    pub(super) fn pump(&mut self, consumer: &Consumer) {
        self.take_reports();
        self.tick();
        self.commit_now(consumer);
        self.transact(consumer);
        self.apply_pauses(consumer);
        self.check_producers();
    }

    fn tick(&mut self) {
        let now = self.now();
        self.hand_over(now);
        if !self.unsent.is_empty() {
            return;
        }
        for running in self.tasks.values_mut().filter(|running| running.is_restored) {
            running.task.tick(now);
        }
        self.carry_out_all();
        self.hand_over(now);
    }

    /// Carries out what the tasks have asked for.
    fn carry_out_all(&mut self) {
        let mut carried = Vec::new();
        for running in self.tasks.values_mut().filter(|running| running.is_restored) {
            let owner = running.owner;
            carried
                .extend(running.task.take_commands().into_iter().map(|command| (owner, command)));
        }
        for (owner, command) in carried {
            self.carry_out(owner, command);
        }
    }

    fn carry_out(&mut self, owner: Owner, command: Command) {
        match command {
            Command::Send { id, record } => self.unsent.push_back((owner, id, record)),
            Command::Call { entry, call, wanted } => self.call(owner, entry, call, wanted),
            Command::Commit { offsets } => {
                if let Some(running) = self.tasks.get_mut(&(owner.sub, owner.partition)) {
                    running.commit = Some(offsets);
                }
            }
            Command::Save(frame) => self.save(owner, &frame),
            Command::Pause { input } => self.set_paused(owner, input, true),
            Command::Resume { input } => self.set_paused(owner, input, false),
            Command::Halt(halt) => {
                self.halt.get_or_insert(halt);
            }
        }
    }

    fn set_paused(&mut self, owner: Owner, input: usize, is_paused: bool) {
        let Some(running) = self.tasks.get(&(owner.sub, owner.partition)) else { return };
        let Some(topic) = running.task.input_topics().nth(input).cloned() else { return };
        self.pauses.push((topic, owner.partition, is_paused));
    }

    fn apply_pauses(&mut self, consumer: &Consumer) {
        for (topic, partition, is_paused) in std::mem::take(&mut self.pauses) {
            let mut list = TopicPartitionList::new();
            list.add_partition(&topic, partition);
            let result = if is_paused { consumer.pause(&list) } else { consumer.resume(&list) };
            if let Err(error) = result {
                tracing::warn!(%error, topic = &*topic, partition, is_paused, "pausing or resuming");
            }
        }
    }

    /// Begins nothing new until told otherwise; work under way finishes, commits go on. An operator's
    /// pause: what is fetched waits, and a full partition is not fetched any more.
    pub(super) fn hold_work(&mut self, is_paused: bool) {
        if self.is_paused == is_paused {
            return;
        }
        self.is_paused = is_paused;
        tracing::info!(is_paused, "work is held or goes on, as told");
        for running in self.tasks.values_mut() {
            if is_paused { running.task.drain() } else { running.task.undrain() }
        }
    }

    /// The tasks that wait for their state: owner, and what to read it from.
    pub(super) fn unrestored(&self) -> Vec<Owner> {
        self.tasks.values().filter(|r| !r.is_restored).map(|r| r.owner).collect()
    }

    /// A task by its owner; `None` when it is gone or was made anew.
    pub(super) fn task(&mut self, owner: Owner) -> Option<&mut Running> {
        let running = self.tasks.get_mut(&(owner.sub, owner.partition));
        running.filter(|running| running.owner == owner)
    }

    /// A task has its state: its partitions flow from here on.
    pub(super) fn restored(&mut self, owner: Owner) {
        let is_paused = self.is_paused;
        let is_being_decided = self.transaction.is_being_decided();
        let Some(running) = self.task(owner) else { return };
        running.is_restored = true;
        if is_being_decided && running.task.is_transactional() {
            // A commit may take long, and partitions come meanwhile.
            running.task.hold();
        }
        if is_paused {
            running.task.drain();
        }
        let topics: Vec<Arc<str>> = running.task.input_topics().cloned().collect();
        self.pauses.extend(topics.into_iter().map(|topic| (topic, owner.partition, false)));
    }

    /// The thread has waited for records from `since` to `until`.
    pub(super) fn rested(&mut self, since: Timestamp, until: Timestamp) {
        self.transaction.rested(until.saturating_sub(since));
    }

    /// How long the thread may sleep in its consumer.
    pub(super) fn rest(&self) -> Duration {
        const BUSY: Duration = Duration::from_millis(1);
        const IDLE: Duration = Duration::from_millis(100);
        let is_waiting =
            |running: &Running| !running.is_restored || running.task.waits_for_broker();
        let now = self.now();
        let next_at = self.transaction.next_at(now);
        if next_at.is_none()
            || !self.unsent.is_empty()
            || self.answers.are_many()
            || self.tasks.values().any(is_waiting)
        {
            return BUSY;
        }
        let tasks = self.tasks.values().map(|running| &running.task);
        let is_dirty = tasks.clone().any(|task| task.is_transactional() && task.is_dirty());
        let commit = next_at.filter(|_| is_dirty);
        let wakeup = tasks.filter_map(Task::next_wakeup).chain(commit).min();
        let until = wakeup.map_or(i64::MAX, |at| at.saturating_sub(now).max(1));
        Duration::from_millis(u64::try_from(until).unwrap_or(1)).min(IDLE)
    }

    pub(super) fn stop(&mut self, place: &str, message: &str) {
        let place = format!("{}/{place}", self.topology.application_id());
        self.halt.get_or_insert(Halt { place, position: None, message: message.to_owned() });
    }

    fn sub_of(&self, topic: &str) -> Option<usize> {
        self.readers.iter().find(|(known, ..)| **known == *topic).map(|(_, sub, _)| *sub)
    }

    fn count_tasks(&self) {
        let count = i64::try_from(self.tasks.len()).unwrap_or(i64::MAX);
        self.environment.metrics.tasks_assigned.set(count);
    }
}

/// The part of an owner that travels with what it sends.
fn slot(owner: Owner) -> u16 {
    u16::try_from(owner.generation & u64::from(u16::MAX)).unwrap_or_default()
}
