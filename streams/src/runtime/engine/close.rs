//! Tasks whose partitions go.

use std::time::Duration;

use super::{Engine, Running, slot};
use crate::{record::Timestamp, runtime::group::Consumer, task::Task};

/// How long one look at deliveries and answers waits while tasks are closed.
const CLOSE_STEP: Duration = Duration::from_millis(1);

/// How long an abort may take before partitions go, beyond the drain timeout.
const ABORT_BUDGET_MS: i64 = 10_000;

impl Engine {
    /// Closes the tasks of partitions that go: work under way finishes within the budget, what is
    /// finished is committed. Partitions that are lost already are dropped: somebody else has them.
    pub(in crate::runtime) fn revoke(
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
        if is_lost {
            self.transaction.give_up();
        } else if self.halt.is_none() && self.again.is_none() {
            // What goes is ours until we return, what stays was ours all the time, if we were a member.
            self.renew_membership(consumer);
            if self.again.is_none() {
                self.close(&keys, consumer);
            }
        }
        for key in &keys {
            if let Some(running) = self.tasks.remove(key) {
                self.owners.remove(&slot(running.owner));
                self.transaction.forget(*key);
                Self::close_directory(running);
            }
        }
        self.count_tasks();
    }

    /// Drains and commits the tasks, within the drain timeout.
    pub(in crate::runtime) fn close(&mut self, keys: &[(usize, i32)], consumer: &Consumer) {
        let budget_ms = i64::try_from(self.equipment.drain_timeout.as_millis()).unwrap_or(i64::MAX);
        let deadline = self.now().saturating_add(budget_ms);
        self.each(keys, |running, _| running.task.drain());
        self.drive(keys, consumer, deadline, Task::is_drained);
        self.each(keys, |running, now| running.task.flush(now));
        self.transaction.hurry(self.now());
        self.drive(keys, consumer, deadline, Task::is_clean);
        let is_clean =
            |key| self.tasks.get(key).is_none_or(|r| !r.is_restored || r.task.is_clean());
        if keys.iter().all(is_clean) {
            return;
        }
        tracing::warn!(
            budget_ms,
            "closing before everything was acknowledged; what is not committed is read again"
        );
        let is_transactional =
            |key| self.tasks.get(key).is_some_and(|running| running.task.is_transactional());
        if keys.iter().any(is_transactional) {
            self.abandon(consumer);
        }
    }

    /// Ends the open transaction: part of it belongs to a partition that goes.
    fn abandon(&mut self, consumer: &Consumer) {
        self.transaction.give_up();
        let deadline = self.now().saturating_add(ABORT_BUDGET_MS);
        while !self.transaction.is_idle() && self.again.is_none() && self.now() < deadline {
            self.take_reports();
            self.transact(consumer);
            pause();
        }
        if !self.transaction.is_idle() {
            self.again.get_or_insert_with(|| {
                "a transaction could not be ended before its partitions went".to_owned()
            });
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
        while self.halt.is_none()
            && self.again.is_none()
            && !is_finished(self)
            && self.now() < deadline
        {
            self.take_reports();
            self.tick();
            self.commit_now(consumer);
            self.transaction.hurry(self.now());
            self.transact(consumer);
            self.check_producers();
            pause();
        }
    }
}

fn pause() {
    #[expect(clippy::disallowed_methods, reason = "a stream thread, outside the async runtime")]
    std::thread::sleep(CLOSE_STEP);
}
