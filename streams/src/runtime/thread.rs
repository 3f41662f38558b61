//! The stream thread: polls, feeds, carries out.

use std::{
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::Duration,
};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
};

use super::{
    engine::{Engine, Owner},
    group::{Consumer, lock},
    health::State,
    restore::{self, Plan, Progress},
};
use crate::{record::Timestamp, task::Halt};

/// Records taken from the client between two rounds of work.
const RECORDS_A_ROUND_MAX: usize = 500;

/// Restored batches that wait for the thread.
const RESTORED_BATCHES_MAX: usize = 16;

/// Tasks restored at the same time.
const RESTORES_MAX: usize = 4;

/// What a halt says when the group has given this instance's name to somebody else.
const FENCED: &str = "another process has joined the group under this instance's name; give one of \
                      them another --instance (BANKSTREAM_INSTANCE)";

/// How long a rejoin counts, and how many there may be in that time before a fence is believed.
const REJOIN_WINDOW_MS: Timestamp = 300_000;
const REJOINS_MAX: usize = 5;

/// Which halts are answered by a new thread, as a restart of the process would answer them.
///
/// A member that lost its connection while it joined (a broker that restarts) is fenced by its own
/// second try, and the broker says the same of that as of a namesake. So it joins again. Two
/// processes under one name fence each other at once and again: the one that has joined too often
/// in a short time stops.
#[derive(Debug, Default)]
pub(super) struct Rejoins(Vec<Timestamp>);

impl Rejoins {
    /// Whether this halt is answered by joining again; counts it when it is.
    pub(super) fn allow(&mut self, halt: &Halt, now: Timestamp) -> bool {
        self.0.retain(|at| now.saturating_sub(*at) < REJOIN_WINDOW_MS);
        let is_allowed = halt.message == FENCED && self.0.len() < REJOINS_MAX;
        if is_allowed {
            self.0.push(now);
        }
        is_allowed
    }
}

/// One consumer, one producer, many tasks.
pub(super) struct StreamThread {
    pub(super) consumer: Consumer,
    pub(super) engine: Arc<Mutex<Engine>>,
    pub(super) state: Arc<State>,
    pub(super) servers: String,
    pub(super) group_id: String,
    restores: (SyncSender<Progress>, Receiver<Progress>),
    restoring: Vec<Owner>,
}

impl StreamThread {
    pub(super) fn new(
        consumer: Consumer,
        engine: Arc<Mutex<Engine>>,
        state: Arc<State>,
        servers: String,
        group_id: String,
    ) -> Self {
        let restores = sync_channel(RESTORED_BATCHES_MAX);
        Self { consumer, engine, state, servers, group_id, restores, restoring: Vec::new() }
    }

    /// Runs until it is told to stop or has to halt. On a stop, work under way finishes, offsets
    /// are committed; on a halt, nothing is.
    pub(super) fn run(mut self) -> Result<(), Halt> {
        while !self.state.is_stopping() {
            self.round();
            let engine = lock(&self.engine);
            self.state.beat(engine.now(), engine.is_ready());
            if let Some(halt) = &engine.halt {
                return Err(halt.clone());
            }
        }
        let mut engine = lock(&self.engine);
        let keys: Vec<_> = engine.tasks.keys().copied().collect();
        engine.close(&keys, &self.consumer);
        engine.tasks.clear();
        let halt = engine.halt.clone();
        drop(engine);
        // Dropping the consumer revokes what is left, through a callback that takes the lock.
        drop(self.consumer);
        halt.map_or(Ok(()), Err)
    }

    fn round(&mut self) {
        let mut wait = lock(&self.engine).rest();
        for _ in 0..RECORDS_A_ROUND_MAX {
            match self.consumer.poll(wait) {
                Some(Ok(message)) => lock(&self.engine).deliver(&message),
                Some(Err(error)) => self.poll_failed(&error),
                None => break,
            }
            wait = Duration::ZERO;
        }
        self.begin_restores();
        self.take_restored();
        lock(&self.engine).pump(&self.consumer);
    }

    fn poll_failed(&self, error: &KafkaError) {
        let code = error.rdkafka_error_code();
        match code {
            Some(RDKafkaErrorCode::UnknownTopicOrPartition) => lock(&self.engine).stop(
                "consumer",
                "a topic is not on the cluster any more; run `bankstream topology apply`",
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

    /// Starts a reader per task that waits for its state.
    fn begin_restores(&mut self) {
        let mut engine = lock(&self.engine);
        for owner in engine.unrestored() {
            if self.restoring.contains(&owner) || self.restoring.len() >= RESTORES_MAX {
                continue;
            }
            let Some(running) = engine.task(owner) else { continue };
            let changelogs = running.task.changelogs();
            let plan = Plan {
                owner,
                servers: self.servers.clone(),
                group_id: self.group_id.clone(),
                inputs: running.task.input_topics().cloned().collect(),
                changelogs: changelogs.map(|(i, t, ledger)| (i, Arc::clone(t), ledger)).collect(),
            };
            let progress = self.restores.0.clone();
            let spawned = std::thread::Builder::new()
                .name("restore".to_owned())
                .spawn(move || restore::run(&plan, &progress));
            match spawned {
                Ok(_) => self.restoring.push(owner),
                Err(error) => engine.stop("restore", &format!("cannot start a thread: {error}")),
            }
        }
        let count = i64::try_from(self.restoring.len()).unwrap_or(i64::MAX);
        engine.environment.metrics.restoring_tasks.set(count);
    }

    fn take_restored(&mut self) {
        let reports: Vec<Progress> = self.restores.1.try_iter().collect();
        for report in reports {
            let mut engine = lock(&self.engine);
            match report {
                Progress::Changes(owner, changes) => {
                    let count = u64::try_from(changes.len()).unwrap_or(u64::MAX);
                    engine.environment.metrics.restore_records_total.inc_by(count);
                    if let Some(running) = engine.task(owner) {
                        for (store, key, value) in changes {
                            running.task.restore(store, key, value);
                        }
                    }
                }
                Progress::Done(owner, starts) => {
                    self.restoring.retain(|restoring| *restoring != owner);
                    self.begin(&mut engine, owner, &starts);
                }
                Progress::Failed(owner, error) => {
                    self.restoring.retain(|restoring| *restoring != owner);
                    if engine.task(owner).is_some() {
                        engine.stop("restore", &crate::disposition::chain(&error));
                    }
                }
            }
        }
    }

    /// A task has its state. Where nothing is committed yet, the start is, before the first record
    /// is handled: from then on state without a committed offset is a fault and not a beginning.
    fn begin(&self, engine: &mut Engine, owner: Owner, starts: &[(i64, bool)]) {
        let Some(running) = engine.task(owner) else { return };
        let topics: Vec<Arc<str>> = running.task.input_topics().cloned().collect();
        let mut fresh = TopicPartitionList::new();
        for (input, (offset, is_committed)) in starts.iter().enumerate() {
            running.task.set_committed(input, *offset);
            let Some(topic) = topics.get(input).filter(|_| !is_committed) else { continue };
            let added = fresh.add_partition_offset(topic, owner.partition, Offset::Offset(*offset));
            if let Err(error) = added {
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
        let entries = running.task.state_len();
        tracing::info!(sub = owner.sub, partition = owner.partition, entries, "restored");
        engine.restored(owner);
    }
}

#[cfg(test)]
mod tests {
    use super::{FENCED, Halt, REJOIN_WINDOW_MS, REJOINS_MAX, Rejoins};

    fn halt(message: &str) -> Halt {
        Halt { place: "app/consumer".to_owned(), position: None, message: message.to_owned() }
    }

    #[test]
    fn a_fenced_instance_joins_again_but_not_without_end() {
        let mut rejoins = Rejoins::default();
        for _ in 0..REJOINS_MAX {
            assert!(rejoins.allow(&halt(FENCED), 1_000));
        }
        assert!(!rejoins.allow(&halt(FENCED), 1_000), "a namesake, then");
        assert!(rejoins.allow(&halt(FENCED), 1_000 + REJOIN_WINDOW_MS), "long ago does not count");
    }

    #[test]
    fn no_other_halt_is_passed_over() {
        assert!(!Rejoins::default().allow(&halt("the token is refused"), 1_000));
    }
}
