//! Commits: of offsets alone, and of transactions.

use std::sync::Arc;

use rdkafka::consumer::{CommitMode, Consumer as _};

use super::Engine;
use crate::{
    runtime::{
        group::Consumer,
        producer::{self, Transactions},
    },
    task::{
        Event, Task,
        transaction::{Offsets, Progress},
    },
};

/// Steps of a transaction in one round: prepare, hand over, commit; a few more for a full queue.
const STEPS_A_ROUND_MAX: usize = 8;

impl Engine {
    /// Commits what tasks outside transactions ask for and waits for the answer, some milliseconds.
    /// The client has no other way: librdkafka tells of an asynchronous commit only through a callback
    /// that rdkafka does not set, so its answer never comes.
    pub(super) fn commit_now(&mut self, consumer: &Consumer) {
        let mut offsets = Offsets::new();
        let mut owners = Vec::new();
        for running in self.tasks.values_mut() {
            let Some(points) = running.commit.take() else { continue };
            owners.push(running.owner);
            for (input, point) in points {
                let Some(topic) = running.task.input_topics().nth(input) else { continue };
                offsets.push((Arc::clone(topic), running.owner.partition, point));
            }
        }
        if owners.is_empty() {
            return;
        }
        let result =
            producer::list(&offsets).and_then(|list| consumer.commit(&list, CommitMode::Sync));
        if let Err(error) = &result {
            tracing::warn!(%error, "commit; it is tried again with the next one");
        }
        let now = self.now();
        for owner in owners {
            self.tell(owner, Event::Committed { is_ok: result.is_ok() }, now);
        }
        self.carry_out_all();
    }

    /// Takes the transaction as far as it goes without waiting for long.
    pub(super) fn transact(&mut self, consumer: &Consumer) {
        if self.equipment.transactional.is_none() {
            return;
        }
        if consumer.assignment_lost() {
            // The group has given our partitions away and the callback has not told yet.
            self.transaction.give_up();
        }
        for _ in 0..STEPS_A_ROUND_MAX {
            match self.step_transaction() {
                Progress::Waiting => return,
                Progress::HandOver => {
                    let now = self.now();
                    self.carry_out_all();
                    self.hand_over(now);
                    if !self.unsent.is_empty() {
                        return;
                    }
                }
                Progress::Committed => {
                    self.environment.metrics.commit_total.inc();
                    self.membership = consumer.group_metadata();
                    self.carry_out_all();
                    return;
                }
                Progress::Aborted => {
                    self.environment.metrics.transactions_aborted_total.inc();
                    self.membership = consumer.group_metadata();
                    self.unsent.clear();
                    return;
                }
                Progress::Fatal(reason) => {
                    self.again.get_or_insert(reason);
                    return;
                }
            }
        }
    }

    fn step_transaction(&mut self) -> Progress {
        let now = self.now();
        let (Some(producer), Some(group)) = (&self.equipment.transactional, &self.membership)
        else {
            return Progress::Waiting;
        };
        let is_handed_over = self.unsent.is_empty();
        let running = self.tasks.values_mut().filter(|running| running.is_restored);
        let mut tasks: Vec<&mut Task> = running
            .map(|running| &mut running.task)
            .filter(|task| task.is_transactional())
            .collect();
        let producer = &mut Transactions { producer, group };
        self.transaction.step(&mut tasks, producer, is_handed_over, now)
    }
}
