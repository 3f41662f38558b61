//! The tasks of a stream thread and what carries out their commands.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    time::Duration,
};

use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer as _},
    message::{BorrowedMessage, Headers as _},
};
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use super::{
    group::Consumer,
    producer::{Handover, Producer},
};
use crate::{
    clock::Clock,
    disposition::Failure,
    node::{CallFuture, Opaque},
    record::{Headers, Outgoing, Position, RawRecord, Timestamp},
    task::{Command, EntryId, Environment, Event, Halt, SendId, Task},
    topology::Topology,
};

/// How long one look at deliveries and answers waits while tasks are closed.
const CLOSE_STEP: Duration = Duration::from_millis(2);

/// A task and its generation: answers and reports of an earlier one are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Owner {
    pub(super) sub: usize,
    pub(super) partition: i32,
    pub(super) generation: u64,
}

struct Answer {
    owner: Owner,
    entry: EntryId,
    call: u32,
    result: Result<Opaque, Failure>,
}

pub(super) struct Running {
    pub(super) owner: Owner,
    pub(super) task: Task,
    pub(super) is_restored: bool,
    /// Offsets the task wants committed.
    commit: Option<Vec<(usize, i64)>>,
    /// Offsets the broker was asked to commit.
    committing: Option<Vec<(usize, i64)>>,
}

impl Running {
    fn topic(&self, input: usize) -> Option<&Arc<str>> {
        self.task.input_topics().nth(input)
    }
}

/// Everything a stream thread owns but its consumer.
pub(super) struct Engine {
    pub(super) topology: Arc<Topology>,
    pub(super) environment: Environment,
    producer: Producer,
    /// Records that the producer had no room for, in order. While there are any, no task goes on.
    unsent: VecDeque<(Owner, SendId, Outgoing)>,
    pub(super) tasks: BTreeMap<(usize, i32), Running>,
    clock: Arc<dyn Clock>,
    handle: Handle,
    calls: TaskTracker,
    answers: (Sender<Answer>, Receiver<Answer>),
    generation: u64,
    drain_timeout: Duration,
    pub(super) halt: Option<Halt>,
    has_joined: bool,
    pauses: Vec<(Arc<str>, i32, bool)>,
}

impl Engine {
    pub(super) fn new(
        topology: Arc<Topology>,
        environment: Environment,
        producer: Producer,
        clock: Arc<dyn Clock>,
        handle: Handle,
        drain_timeout: Duration,
    ) -> Self {
        Self {
            topology,
            environment,
            producer,
            unsent: VecDeque::new(),
            tasks: BTreeMap::new(),
            clock,
            handle,
            calls: TaskTracker::new(),
            answers: channel(),
            generation: 0,
            drain_timeout,
            halt: None,
            has_joined: false,
            pauses: Vec::new(),
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Whether the group has given this instance its share and all of it is restored.
    pub(super) fn is_ready(&self) -> bool {
        self.has_joined && self.tasks.values().all(|running| running.is_restored)
    }

    /// Makes tasks for new partitions; they are restored by the thread.
    pub(super) fn assign(&mut self, partitions: &[(String, i32)]) {
        self.has_joined = true;
        let now = self.now();
        for (topic, partition) in partitions {
            let Some(sub) = self.sub_of(topic) else { continue };
            let key = (sub, *partition);
            if self.tasks.contains_key(&key) {
                continue;
            }
            match Task::new(&self.topology, sub, *partition, &self.environment, now) {
                Ok(task) => {
                    self.generation = self.generation.saturating_add(1);
                    let owner = Owner { sub, partition: *partition, generation: self.generation };
                    let running =
                        Running { owner, task, is_restored: false, commit: None, committing: None };
                    self.tasks.insert(key, running);
                }
                Err(error) => self.stop("assign", &error.to_string()),
            }
        }
        self.count_tasks();
    }

    /// Closes the tasks of partitions that go: work under way finishes within the budget, what is
    /// finished is committed. Partitions that are lost already are dropped: somebody else has them.
    pub(super) fn revoke(
        &mut self,
        partitions: &[(String, i32)],
        is_lost: bool,
        consumer: &Consumer,
    ) {
        let mut keys = Vec::new();
        for (topic, partition) in partitions {
            keys.extend(self.sub_of(topic).map(|sub| (sub, *partition)));
        }
        keys.sort_unstable();
        keys.dedup();
        if !is_lost && self.halt.is_none() {
            self.close(&keys, consumer);
        }
        for key in &keys {
            self.tasks.remove(key);
        }
        self.count_tasks();
    }

    /// Drains and commits the tasks, within the drain timeout.
    pub(super) fn close(&mut self, keys: &[(usize, i32)], consumer: &Consumer) {
        let budget_ms = i64::try_from(self.drain_timeout.as_millis()).unwrap_or(i64::MAX);
        let deadline = self.now().saturating_add(budget_ms);
        self.each(keys, |running, _| running.task.drain());
        self.drive(keys, consumer, deadline, Task::is_drained);
        self.each(keys, |running, now| running.task.flush(now));
        self.drive(keys, consumer, deadline, Task::is_clean);
        if !keys.iter().all(|key| self.tasks.get(key).is_none_or(|r| r.task.is_clean())) {
            tracing::warn!(
                budget_ms,
                "closing before everything was acknowledged; what is not committed is read again"
            );
        }
    }

    fn each(&mut self, keys: &[(usize, i32)], act: impl Fn(&mut Running, Timestamp)) {
        let now = self.now();
        for key in keys {
            if let Some(running) = self.tasks.get_mut(key).filter(|running| running.is_restored) {
                act(running, now);
            }
        }
    }

    fn drive(
        &mut self,
        keys: &[(usize, i32)],
        consumer: &Consumer,
        deadline: Timestamp,
        is_done: impl Fn(&Task) -> bool,
    ) {
        let is_finished = |engine: &Self| {
            keys.iter().all(|key| {
                let running = engine.tasks.get(key).filter(|running| running.is_restored);
                running.is_none_or(|running| is_done(&running.task))
            })
        };
        while self.halt.is_none() && !is_finished(self) && self.now() < deadline {
            self.take_reports();
            self.tick();
            self.commit_now(consumer);
            #[expect(
                clippy::disallowed_methods,
                reason = "a stream thread, outside the async runtime"
            )]
            std::thread::sleep(CLOSE_STEP);
        }
    }

    /// A record from the consumer.
    pub(super) fn deliver(&mut self, message: &BorrowedMessage<'_>) {
        let now = self.now();
        let Some(sub) = self.sub_of(message.topic()) else { return };
        let Some(running) = self.tasks.get_mut(&(sub, message.partition())) else { return };
        let found = running.task.input_topics().enumerate().find(|(_, t)| ***t == *message.topic());
        let Some((input, topic)) = found.map(|(input, topic)| (input, Arc::clone(topic))) else {
            return;
        };
        let record = raw(message, topic);
        running.task.handle(Event::Fetched { input, record }, now);
    }

    /// One round: what came back, what is due, what is asked for.
    pub(super) fn pump(&mut self, consumer: &Consumer) {
        self.take_reports();
        self.tick();
        self.commit_now(consumer);
        self.apply_pauses(consumer);
        if let Some(reason) = self.producer.fatal_error() {
            self.stop("producer", &reason);
        }
    }

    fn take_reports(&mut self) {
        let now = self.now();
        for delivery in self.producer.deliveries() {
            let event = match delivery.result {
                Ok(()) => Event::Acknowledged(delivery.send),
                Err(failure) => Event::Refused { send: delivery.send, failure },
            };
            self.tell(delivery.owner, event, now);
        }
        let answers: Vec<Answer> = self.answers.1.try_iter().collect();
        for Answer { owner, entry, call, result } in answers {
            self.tell(owner, Event::Answered { entry, call, answer: result }, now);
        }
    }

    fn tell(&mut self, owner: Owner, event: Event, now: Timestamp) {
        let running = self.tasks.get_mut(&(owner.sub, owner.partition));
        if let Some(running) = running.filter(|running| running.owner == owner) {
            running.task.handle(event, now);
        }
    }

    fn tick(&mut self) {
        let now = self.now();
        self.hand_over(now);
        if !self.unsent.is_empty() {
            return;
        }
        let mut carried = Vec::new();
        for running in self.tasks.values_mut().filter(|running| running.is_restored) {
            running.task.tick(now);
            let owner = running.owner;
            carried
                .extend(running.task.take_commands().into_iter().map(|command| (owner, command)));
        }
        for (owner, command) in carried {
            self.carry_out(owner, command);
        }
        self.hand_over(now);
    }

    /// Hands records to the producer, as far as it has room. Those of a task that is gone are
    /// dropped: its partition is somebody else's, who makes them again.
    fn hand_over(&mut self, now: Timestamp) {
        while let Some((owner, send, record)) = self.unsent.pop_front() {
            if self.task(owner).is_none() {
                continue;
            }
            match self.producer.send(owner, send, &record) {
                Handover::Taken => {}
                Handover::NoRoom => {
                    self.unsent.push_front((owner, send, record));
                    return;
                }
                Handover::Refused(failure) => {
                    self.tell(owner, Event::Refused { send, failure }, now);
                }
            }
        }
    }

    fn carry_out(&mut self, owner: Owner, command: Command) {
        match command {
            Command::Send { id, record } => self.unsent.push_back((owner, id, record)),
            Command::Call { entry, call, future } => self.call(owner, entry, call, future),
            Command::Commit { offsets } => {
                if let Some(running) = self.tasks.get_mut(&(owner.sub, owner.partition)) {
                    running.commit = Some(offsets);
                }
            }
            Command::Pause { input } => self.set_paused(owner, input, true),
            Command::Resume { input } => self.set_paused(owner, input, false),
            Command::Halt(halt) => {
                self.halt.get_or_insert(halt);
            }
        }
    }

    fn call(&self, owner: Owner, entry: EntryId, call: u32, future: CallFuture) {
        let answers = self.answers.0.clone();
        let answered = async move {
            let result = future.await;
            if answers.send(Answer { owner, entry, call, result }).is_err() {
                tracing::debug!("an answer came after the thread had ended");
            }
        };
        drop(self.calls.spawn_on(answered, &self.handle));
    }

    /// Commits what tasks ask for and waits for the answer, some milliseconds. The client has no other
    /// way: librdkafka tells of an asynchronous commit only through a callback that rdkafka does not
    /// set, so its answer never comes.
    fn commit_now(&mut self, consumer: &Consumer) {
        let Some(offsets) = self.asked_commits() else { return };
        let result = consumer.commit(&offsets, CommitMode::Sync);
        if let Err(error) = &result {
            tracing::warn!(%error, "commit; it is tried again with the next one");
        }
        self.committed(&offsets, result.is_ok());
    }

    fn asked_commits(&mut self) -> Option<TopicPartitionList> {
        let mut list = TopicPartitionList::new();
        for running in self.tasks.values_mut() {
            let Some(offsets) = running.commit.take() else { continue };
            for (input, offset) in &offsets {
                let Some(topic) = running.topic(*input) else { continue };
                let partition = running.owner.partition;
                let added = list.add_partition_offset(topic, partition, Offset::Offset(*offset));
                if let Err(error) = added {
                    tracing::warn!(%error, "an offset cannot be committed");
                }
            }
            running.committing = Some(offsets);
        }
        (list.count() > 0).then_some(list)
    }

    /// The answer to a commit: tasks whose offsets it names learn of it, others do not.
    pub(super) fn committed(&mut self, list: &TopicPartitionList, is_ok: bool) {
        let now = self.now();
        for running in self.tasks.values_mut() {
            let Some(offsets) = &running.committing else { continue };
            let is_named = offsets.iter().any(|(input, offset)| {
                running
                    .topic(*input)
                    .and_then(|topic| list.find_partition(topic, running.owner.partition))
                    .is_some_and(|element| element.offset() == Offset::Offset(*offset))
            });
            if is_named {
                running.committing = None;
                running.task.handle(Event::Committed { is_ok }, now);
            }
        }
    }

    fn set_paused(&mut self, owner: Owner, input: usize, is_paused: bool) {
        let Some(running) = self.tasks.get(&(owner.sub, owner.partition)) else { return };
        let Some(topic) = running.topic(input).cloned() else { return };
        self.environment.metrics.partitions_paused.add(if is_paused { 1 } else { -1 });
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
        let Some(running) = self.task(owner) else { return };
        running.is_restored = true;
        let topics: Vec<Arc<str>> = running.task.input_topics().cloned().collect();
        self.pauses.extend(topics.into_iter().map(|topic| (topic, owner.partition, false)));
    }

    /// How long the thread may sleep in its consumer.
    pub(super) fn rest(&self) -> Duration {
        const BUSY: Duration = Duration::from_millis(1);
        const IDLE: Duration = Duration::from_millis(100);
        if self.tasks.values().any(|running| running.task.is_waiting()) {
            return BUSY;
        }
        let now = self.now();
        let wakeup = self.tasks.values().filter_map(|running| running.task.next_wakeup()).min();
        let until = wakeup.map_or(i64::MAX, |at| at.saturating_sub(now).max(1));
        Duration::from_millis(u64::try_from(until).unwrap_or(1)).min(IDLE)
    }

    pub(super) fn stop(&mut self, place: &str, message: &str) {
        let place = format!("{}/{place}", self.topology.application_id());
        self.halt.get_or_insert(Halt { place, position: None, message: message.to_owned() });
    }

    fn sub_of(&self, topic: &str) -> Option<usize> {
        let names = &self.environment.names;
        self.topology
            .subs
            .iter()
            .position(|sub| sub.sources.iter().any(|source| names.read(&source.topic) == topic))
    }

    fn count_tasks(&self) {
        let count = i64::try_from(self.tasks.len()).unwrap_or(i64::MAX);
        self.environment.metrics.tasks_assigned.set(count);
    }
}

/// A record of its own from one of the client's.
pub(super) fn raw(message: &BorrowedMessage<'_>, topic: Arc<str>) -> RawRecord {
    let mut headers = Headers::new();
    for header in message.headers().into_iter().flat_map(|headers| headers.iter()) {
        headers.push(header.key, header.value.unwrap_or_default().to_vec());
    }
    RawRecord {
        position: Position { topic, partition: message.partition(), offset: message.offset() },
        timestamp: message.timestamp().to_millis().unwrap_or_default(),
        key: message.key().map(|key| key.to_vec().into()),
        value: message.payload().map(|value| value.to_vec().into()),
        headers,
    }
}
