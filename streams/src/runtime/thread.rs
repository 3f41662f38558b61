//! The stream thread: polls, feeds, carries out.

mod rejoins;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::Duration,
};

use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
};

use self::rejoins::FENCED;
pub(super) use self::rejoins::{Ending, Rejoins};
use super::{
    engine::{Engine, Owner},
    group::{Consumer, Group, lock},
    health::{Restoring, State},
    positions::Positions,
    queries::{self, Asked},
    restore::{self, Pace, Plan, Progress, Reached, Restored},
};
use crate::{
    disk::OpenError,
    native::{BatchReader, FetchError},
    record::Timestamp,
    task::Saved,
};

/// Records taken from the client between two rounds of work.
pub(super) const RECORDS_A_ROUND_MAX: usize = 1_000;

/// How long a state directory that another process has is waited for, before that is believed.
const LOCK_WAIT_MS: Timestamp = 5_000;

/// How long a seek may take.
const SEEK_TIMEOUT: Duration = Duration::from_secs(5);

/// Restored batches that wait for the thread.
const RESTORED_BATCHES_MAX: usize = 16;

/// Tasks restored at the same time.
const RESTORES_MAX: usize = 4;

/// One consumer, its producers, many tasks.
pub(super) struct StreamThread {
    reader: BatchReader<Group>,
    consumer: Arc<Consumer>,
    engine: Arc<Mutex<Engine>>,
    state: Arc<State>,
    positions: Positions,
    asked: Arc<Mutex<Receiver<Asked>>>,
    servers: String,
    group_id: String,
    restores: (SyncSender<Progress>, Receiver<Progress>),
    restoring: BTreeMap<Owner, Pace>,
    /// Since when a state directory is somebody else's.
    locked_since: Option<Timestamp>,
}

impl StreamThread {
    #[expect(clippy::too_many_arguments, reason = "what a thread owns, handed over once")]
    pub(super) fn new(
        consumer: Arc<Consumer>,
        reader: BatchReader<Group>,
        engine: Arc<Mutex<Engine>>,
        state: Arc<State>,
        positions: Positions,
        asked: Arc<Mutex<Receiver<Asked>>>,
        servers: String,
        group_id: String,
    ) -> Self {
        let restores = sync_channel(RESTORED_BATCHES_MAX);
        state.restores(Vec::new());
        let restoring = BTreeMap::new();
        Self {
            reader,
            consumer,
            engine,
            state,
            positions,
            asked,
            servers,
            group_id,
            restores,
            restoring,
            locked_since: None,
        }
    }

    /// Runs until it is told to stop or cannot go on. On a stop, work under way finishes, offsets are
    /// committed; otherwise nothing is.
    pub(super) fn run(mut self) -> Result<(), Ending> {
        while !self.state.is_stopping() {
            self.round();
            let mut engine = lock(&self.engine);
            self.state.beat(engine.now(), engine.is_ready());
            if let Some(reason) = self.state.halted() {
                engine.stop("consumer", reason);
            }
            if let Some(halt) = &engine.halt {
                return Err(Ending::Halt(halt.clone()));
            }
            if let Some(reason) = &engine.again {
                return Err(Ending::Again(reason.clone()));
            }
        }
        let mut engine = lock(&self.engine);
        engine.pass_what_is_no_record(&self.consumer);
        let keys: Vec<_> = engine.tasks.keys().copied().collect();
        engine.close(&keys, &self.consumer);
        self.positions.ask_now(&mut engine);
        for (_, running) in std::mem::take(&mut engine.tasks) {
            Engine::close_directory(running);
        }
        let halt = engine.halt.clone();
        drop(engine);
        // Dropping the consumer revokes what is left, through a callback that takes the lock.
        drop(self.reader);
        drop(self.consumer);
        halt.map_or(Ok(()), |halt| Err(Ending::Halt(halt)))
    }

    fn round(&mut self) {
        self.serve_group();
        if self.state.take_rejoin() {
            self.rejoin();
        }
        let mut failed = Vec::new();
        {
            let mut engine = lock(&self.engine);
            engine.hold_work(self.state.is_held());
            let wait = engine.rest();
            let waits_since = engine.now();
            // Records come in a burst after the wait, so the time is taken for each batch anew.
            let mut now = None;
            self.reader.read(wait, |fetched| match fetched {
                Ok(fetched) => {
                    let now = *now.get_or_insert_with(|| engine.now());
                    engine.deliver(&fetched, &self.consumer, now);
                }
                Err(error) => failed.push(error),
            });
            let waited_until = now.unwrap_or_else(|| engine.now());
            engine.rested(waits_since, waited_until);
        }
        for error in failed {
            self.fetch_failed(&error);
        }
        let has_begun = self.begin_restores();
        if self.take_restored() || has_begun {
            self.show_restores();
        }
        let mut engine = lock(&self.engine);
        engine.pump(&self.consumer);
        self.positions.turn(&mut engine, &self.consumer);
        queries::answer_all(&engine, &self.asked);
    }

    /// Leaves the group and joins it again: its partitions are divided anew. They are revoked in order
    /// before, as in any rebalance.
    fn rejoin(&self) {
        let rejoined = self.consumer.subscription().and_then(|subscribed| {
            let topics: Vec<_> =
                subscribed.elements().iter().map(|e| e.topic().to_owned()).collect();
            self.consumer.unsubscribe();
            self.consumer.subscribe(&topics.iter().map(String::as_str).collect::<Vec<_>>())
        });
        if let Err(error) = rejoined {
            lock(&self.engine).again.get_or_insert(format!("joining the group again: {error}"));
        }
    }

    /// Rebalances and errors; records come through the reader.
    fn serve_group(&self) {
        while let Some(event) = self.consumer.poll(Duration::ZERO) {
            match event {
                Ok(message) => {
                    // Fetched before its partition was forwarded: it comes again, through the reader.
                    let (topic, partition) = (message.topic(), message.partition());
                    let back = Offset::Offset(message.offset());
                    if let Err(error) = self.consumer.seek(topic, partition, back, SEEK_TIMEOUT) {
                        // A new thread reads from what is committed.
                        let why = format!("{topic}/{partition}: seeking back: {error}");
                        lock(&self.engine).again.get_or_insert(why);
                    }
                }
                Err(error) => self.poll_failed(&error),
            }
        }
    }

    /// The client's batches count an error of a partition as a record: its position is one further
    /// than what was read, and a pause would go on from there. So it is told where to go on.
    fn fetch_failed(&self, error: &FetchError) {
        self.poll_failed(&error.source);
        let Some(topic) = &error.topic else { return };
        let mut engine = lock(&self.engine);
        let Some(next) = engine.next_offset(topic, error.partition) else { return };
        let sought = self.consumer.seek(topic, error.partition, Offset::Offset(next), SEEK_TIMEOUT);
        if let Err(error) = sought {
            engine.again.get_or_insert(format!("{topic}: seeking back after an error: {error}"));
        }
    }

    fn poll_failed(&self, error: &KafkaError) {
        let code = error.rdkafka_error_code();
        match code {
            Some(RDKafkaErrorCode::UnknownTopicOrPartition) => lock(&self.engine).stop(
                "consumer",
                "a topic that is read was deleted, and may have been made anew; run `bankstream \
                 topology apply`, set the group's offset to what you decide, then start again",
            ),
            Some(RDKafkaErrorCode::FencedInstanceId) => self.fenced(),
            Some(RDKafkaErrorCode::Fatal) => {
                if let Some((code, reason)) = self.consumer.client().fatal_error() {
                    if code == RDKafkaErrorCode::FencedInstanceId {
                        self.fenced();
                    } else {
                        lock(&self.engine).stop("consumer", &format!("{code}: {reason}"));
                    }
                }
            }
            _ => tracing::warn!(%error, "poll"),
        }
    }

    fn fenced(&self) {
        lock(&self.engine).stop("consumer", FENCED);
    }

    /// Opens the directory of each task that waits for its state, and starts a reader of what is
    /// missing there. Whether one was started.
    fn begin_restores(&mut self) -> bool {
        let mut has_begun = false;
        let mut engine = lock(&self.engine);
        for owner in engine.unrestored() {
            if self.restoring.contains_key(&owner) || self.restoring.len() >= RESTORES_MAX {
                continue;
            }
            let beginning = match engine.open_directory(owner) {
                Ok(beginning) => beginning,
                Err(error @ OpenError::InUse { .. })
                    if may_wait(&mut self.locked_since, engine.now()) =>
                {
                    // A process that was killed a moment ago may not be quite gone.
                    tracing::info!(%error, "waiting for the state directory");
                    return has_begun;
                }
                Err(error) => {
                    engine.stop("state", &crate::disposition::chain(&error));
                    return has_begun;
                }
            };
            let Some(running) = engine.task(owner) else { continue };
            let changelogs = running.task.changelogs();
            let plan = Plan {
                owner,
                servers: self.servers.clone(),
                group_id: self.group_id.clone(),
                inputs: running.task.input_topics().cloned().collect(),
                changelogs: changelogs.map(|(i, t, kind)| (i, Arc::clone(t), kind)).collect(),
                beginning,
            };
            let progress = self.restores.0.clone();
            let spawned = std::thread::Builder::new()
                .name("restore".to_owned())
                .spawn(move || restore::run(&plan, &progress));
            match spawned {
                Ok(_) => {
                    self.restoring.insert(owner, Pace::new(engine.now()));
                    has_begun = true;
                }
                Err(error) => engine.stop("restore", &format!("cannot start a thread: {error}")),
            }
        }
        let count = i64::try_from(self.restoring.len()).unwrap_or(i64::MAX);
        engine.environment.metrics.restoring_tasks.set(count);
        has_begun
    }

    /// Tells the health server and the metrics how far restores are.
    fn show_restores(&self) {
        let mut engine = lock(&self.engine);
        let topology = Arc::clone(&engine.topology);
        let remaining = engine.environment.metrics.restore_remaining_records.clone();
        remaining.reset();
        let mut shown = Vec::new();
        for (owner, pace) in &self.restoring {
            // A partition that has gone is read to the end, for nobody.
            if engine.task(*owner).is_none() {
                continue;
            }
            let sub = topology.subs.get(owner.sub).map(|sub| sub.name.clone()).unwrap_or_default();
            let partition = owner.partition;
            let (changes, left) = (pace.changes(), pace.left());
            if let Some(left) = left {
                remaining.with_label_values(&[&*sub, &partition.to_string()]).set(left);
            }
            let waits = pace.waits().map(str::to_owned);
            shown.push(Restoring { sub, partition, changes, left, waits });
        }
        self.state.restores(shown);
    }

    /// Takes what restores report. Whether one did.
    fn take_restored(&mut self) -> bool {
        let mut has_report = false;
        while let Ok(report) = self.restores.1.try_recv() {
            has_report = true;
            let mut engine = lock(&self.engine);
            match report {
                Progress::Changes(owner, changes, left) => {
                    let count = u64::try_from(changes.len()).unwrap_or(u64::MAX);
                    let pace = self.restoring.get_mut(&owner);
                    if let Some(Reached { changes, left, seconds }) =
                        pace.and_then(|pace| pace.more(changes.len(), left, engine.now()))
                    {
                        let (sub, partition) = (owner.sub, owner.partition);
                        tracing::info!(sub, partition, changes, left, seconds, "restoring");
                    }
                    engine.environment.metrics.restore_records_total.inc_by(count);
                    engine.keep_restored(owner, &changes);
                    if let Some(running) = engine.task(owner) {
                        for Saved { store, key, value } in changes {
                            running.task.restore(store, key, value);
                        }
                    }
                }
                Progress::Waits(owner, reason) => {
                    if let Some(pace) = self.restoring.get_mut(&owner) {
                        pace.wait(reason);
                    }
                }
                Progress::Done(owner, restored) => {
                    self.restoring.remove(&owner);
                    self.begin(&mut engine, owner, restored);
                }
                Progress::Stale(owner, why) => {
                    tracing::warn!(
                        why,
                        "the state directory is not used; restoring from the changelogs"
                    );
                    self.restoring.remove(&owner);
                    engine.renew_directory(owner);
                }
                Progress::Failed(owner, error) => {
                    self.restoring.remove(&owner);
                    if engine.task(owner).is_some() {
                        engine.stop("restore", &crate::disposition::chain(&error));
                    }
                }
            }
        }
        has_report
    }

    /// A task has its state. Where nothing is committed yet, the start is, before the first record
    /// is handled: from then on state without a committed offset is a fault and not a beginning.
    fn begin(&self, engine: &mut Engine, owner: Owner, restored: Restored) {
        let Some(running) = engine.task(owner) else { return };
        let topics: Vec<Arc<str>> = running.task.input_topics().cloned().collect();
        let mut fresh = TopicPartitionList::new();
        for (input, (point, is_committed)) in restored.starts.iter().enumerate() {
            let Some(topic) = topics.get(input).filter(|_| !is_committed) else { continue };
            let start = Offset::Offset(point.offset);
            if let Err(error) = fresh.add_partition_offset(topic, owner.partition, start) {
                tracing::warn!(%error, "a first offset cannot be committed");
            }
        }
        if fresh.count() > 0
            && let Err(error) = self.consumer.commit(&fresh, CommitMode::Sync)
        {
            // Restored again and asked again in the next round.
            tracing::warn!(%error, "first commit of a partition");
            return;
        }
        for (store, key) in restored.left_out {
            running.task.correct(store, key);
        }
        let sources = restored.starts.iter().map(|(point, _)| Some(point.offset)).collect();
        for (input, (point, _)) in restored.starts.into_iter().enumerate() {
            running.task.set_committed(input, point);
        }
        let entries = running.task.state_len();
        tracing::info!(sub = owner.sub, partition = owner.partition, entries, "restored");
        engine.keep_beginning(owner, sources, &restored.ends);
        engine.restored(owner);
    }
}

fn may_wait(locked_since: &mut Option<Timestamp>, now: Timestamp) -> bool {
    let since = *locked_since.get_or_insert(now);
    now.saturating_sub(since) < LOCK_WAIT_MS
}
