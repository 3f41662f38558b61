//! The stream thread's restores: begun for tasks that wait for their state, followed, and ended when
//! their partitions go.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer as _},
};

use super::{
    super::{
        engine::{Engine, Owner},
        group::lock,
        health::Restoring,
        restore::{self, Pace, Plan, Progress, Reached, Restored},
    },
    StreamThread,
};
use crate::{disk::OpenError, record::Timestamp, task::Saved};

/// How long a state directory that another process has is waited for, before that is believed.
const LOCK_WAIT_MS: Timestamp = 5_000;

/// Tasks whose changelogs are read at the same time.
const READING_MAX: usize = 4;

/// Tasks that wait for somebody else's transaction at the same time. They hold a thread and its clients
/// and read nothing, so others need not wait with them.
const WAITING_MAX: usize = 16;

/// One restore under way.
pub(super) struct Restore {
    pace: Pace,
    /// What its plan looks at.
    is_wanted: Arc<AtomicBool>,
}

impl StreamThread {
    /// Ends the restores of partitions that have gone. Whether there were any.
    pub(super) fn end_unwanted(&self) -> bool {
        if self.restoring.is_empty() {
            return false;
        }
        let mut has_ended = false;
        let mut engine = lock(&self.engine);
        for (owner, restore) in &self.restoring {
            if engine.task(*owner).is_none() {
                has_ended |= restore.is_wanted.swap(false, Ordering::Relaxed);
            }
        }
        has_ended
    }

    /// Opens the directory of each task that waits for its state, and starts a reader of what is
    /// missing there. Whether one was started.
    pub(super) fn begin_restores(&mut self) -> bool {
        let mut has_begun = false;
        let mut engine = lock(&self.engine);
        for owner in engine.unrestored() {
            if self.restoring.contains_key(&owner) || !may_begin(self.restoring.values()) {
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
                is_wanted: Arc::new(AtomicBool::new(true)),
            };
            let is_wanted = Arc::clone(&plan.is_wanted);
            let progress = self.restores.0.clone();
            let spawned = std::thread::Builder::new()
                .name("restore".to_owned())
                .spawn(move || restore::run(&plan, &progress));
            match spawned {
                Ok(_) => {
                    let pace = Pace::new(engine.now());
                    self.restoring.insert(owner, Restore { pace, is_wanted });
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
    pub(super) fn show_restores(&self) {
        let engine = lock(&self.engine);
        let topology = Arc::clone(&engine.topology);
        let remaining = engine.environment.metrics.restore_remaining_records.clone();
        remaining.reset();
        let mut shown = Vec::new();
        for (owner, Restore { pace, is_wanted }) in &self.restoring {
            // It ends with its next look, and reports that.
            if !is_wanted.load(Ordering::Relaxed) {
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
    pub(super) fn take_restored(&mut self) -> bool {
        let mut has_report = false;
        while let Ok(report) = self.restores.1.try_recv() {
            has_report = true;
            let mut engine = lock(&self.engine);
            match report {
                Progress::Changes(owner, changes, left) => {
                    let count = u64::try_from(changes.len()).unwrap_or(u64::MAX);
                    let restore = self.restoring.get_mut(&owner);
                    if let Some(Reached { changes, left, seconds }) =
                        restore.and_then(|r| r.pace.more(changes.len(), left, engine.now()))
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
                    if let Some(restore) = self.restoring.get_mut(&owner) {
                        restore.pace.wait(reason);
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
        let sub = engine.topology.subs.get(owner.sub).map(|sub| sub.name.as_str());
        tracing::info!(sub, partition = owner.partition, entries, "restored");
        engine.keep_beginning(owner, sources, &restored.ends);
        engine.restored(owner);
    }
}

/// Whether another restore may begin beside these.
fn may_begin<'a>(under_way: impl Iterator<Item = &'a Restore>) -> bool {
    let (waiting, reading): (Vec<_>, Vec<_>) =
        under_way.partition(|restore| restore.pace.waits().is_some());
    reading.len() < READING_MAX && waiting.len() < WAITING_MAX
}

fn may_wait(locked_since: &mut Option<Timestamp>, now: Timestamp) -> bool {
    let since = *locked_since.get_or_insert(now);
    now.saturating_sub(since) < LOCK_WAIT_MS
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, atomic::AtomicBool};

    use super::{Pace, READING_MAX, Restore, WAITING_MAX, may_begin};

    fn restores(reading: usize, waiting: usize) -> Vec<Restore> {
        let restore = |number| {
            let mut pace = Pace::new(0);
            if number >= reading {
                pace.wait("an open transaction".to_owned());
            }
            Restore { pace, is_wanted: Arc::new(AtomicBool::new(true)) }
        };
        (0..reading + waiting).map(restore).collect()
    }

    #[test]
    fn restores_that_wait_for_a_transaction_keep_none_from_reading() {
        for (reading, waiting, expected) in [
            (READING_MAX - 1, 0, true),
            (READING_MAX, 0, false),
            (0, READING_MAX, true),
            (READING_MAX - 1, WAITING_MAX - 1, true),
            (0, WAITING_MAX, false),
        ] {
            let under_way = restores(reading, waiting);
            assert_eq!(may_begin(under_way.iter()), expected, "{reading} and {waiting}");
        }
    }
}
