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
                    let now = self.now();
                    self.transaction.committed(now);
                    self.environment.metrics.commit_total.inc();
                    self.renew_membership(consumer);
                    self.carry_out_all();
                    return;
                }
                Progress::Aborted => {
                    self.environment.metrics.transactions_aborted_total.inc();
                    self.renew_membership(consumer);
                    self.forget_unsent_of_transaction();
                    return;
                }
                Progress::Fatal(reason) => {
                    self.again.get_or_insert(reason);
                    return;
                }
            }
        }
    }

    /// Records that an aborted transaction did not get round to: its tasks make them again. Those of
    /// tasks outside transactions still have to go.
    fn forget_unsent_of_transaction(&mut self) {
        let tasks = &self.tasks;
        self.unsent.retain(|(owner, ..)| {
            let running = tasks.get(&(owner.sub, owner.partition));
            running.is_some_and(|r| r.owner == *owner && !r.task.is_transactional())
        });
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Engine;
    use crate::{
        Context, Fault, Processor, Record,
        record::{Headers, Outgoing, Position, RawRecord},
        runtime::engine::Equipment,
        task::{
            Environment, Event, SendId,
            commit_point::CommitPoint,
            transaction::{Progress, tests::Calls},
        },
        topology::{Effects, Topology},
    };

    struct Nothing;

    impl Processor for Nothing {
        type Key = String;
        type Value = i64;
        type Error = Fault;

        fn process(&mut self, _: &mut Context<'_>, _: &Record<String, i64>) -> Result<(), Fault> {
            Ok(())
        }
    }

    fn engine(handle: tokio::runtime::Handle) -> Engine {
        let mut builder = Topology::builder("mixed");
        for (name, effects) in [("decide", Effects::None), ("tell", Effects::Write)] {
            let mut sub = builder.sub_topology(name, effects);
            let source = sub.source(name, name);
            sub.processor(name, &source, || Nothing);
        }
        let topology = Arc::new(builder.build().unwrap());
        Engine::new(topology, Environment::for_tests("mixed"), Equipment::for_tests(handle))
    }

    fn fetched(partition: i32) -> Event {
        let record = RawRecord {
            position: Position { topic: "decide".into(), partition, offset: 0 },
            timestamp: 0,
            key: None,
            value: Some(bytes::Bytes::from_static(b"no Avro")),
            headers: Headers::new(),
        };
        Event::Fetched { input: 0, record }
    }

    /// What it sent would be refused by the client, and the commit would call its changes committed.
    #[test]
    fn a_task_that_is_restored_while_a_commit_waits_for_the_broker_begins_after_it() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let mut engine = engine(runtime.handle().clone());
        let mut broker = Calls::default();
        broker.is_silent = true;
        let first = engine.add_task(0, 0).unwrap();
        engine.restored(first);
        let now = engine.now();
        engine.transaction.open(&mut broker).unwrap();
        let task = &mut engine.tasks.get_mut(&(0, 0)).unwrap().task;
        task.handle(fetched(0), now);
        task.tick(now);
        engine.transaction.hurry(now);
        for expected in [Progress::HandOver, Progress::Waiting] {
            let task = &mut engine.tasks.get_mut(&(0, 0)).unwrap().task;
            let progress = engine.transaction.step(&mut [task], &mut broker, true, now);
            assert_eq!(progress, expected);
        }

        let late = engine.add_task(0, 1).unwrap();
        engine.restored(late);
        let task = &mut engine.tasks.get_mut(&(0, 1)).unwrap().task;
        task.handle(fetched(1), now);
        task.tick(now);
        assert!(!task.is_dirty() && task.take_commands().is_empty(), "it waits");

        broker.is_silent = false;
        let mut tasks: Vec<_> =
            engine.tasks.values_mut().map(|running| &mut running.task).collect();
        let progress = engine.transaction.step(&mut tasks, &mut broker, true, now);
        assert_eq!(progress, Progress::Committed);
        let task = &mut engine.tasks.get_mut(&(0, 1)).unwrap().task;
        task.tick(now);
        assert!(task.is_dirty(), "and begins");
    }

    #[test]
    fn an_abort_takes_back_only_what_its_transaction_was_to_send() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let mut engine = engine(runtime.handle().clone());
        let [decide, tell] = [0, 1].map(|sub| engine.add_task(sub, 0).unwrap());
        let record = Outgoing {
            topic: "t".into(),
            partition: None,
            key: None,
            value: None,
            timestamp: None,
            headers: Headers::new(),
        };
        for owner in [decide, tell, decide] {
            engine.unsent.push_back((owner, SendId(0), record.clone()));
        }
        engine.forget_unsent_of_transaction();
        let left: Vec<_> = engine.unsent.iter().map(|(owner, ..)| *owner).collect();
        assert_eq!(left, [tell]);
    }

    #[test]
    fn a_full_partition_is_counted_as_paused_for_as_long_as_its_task_is_here() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let mut engine = engine(runtime.handle().clone());
        let owner = engine.add_task(0, 0).unwrap();
        let paused = engine.environment.metrics.partitions_paused.clone();
        let task = &mut engine.task(owner).unwrap().task;
        task.set_committed(0, CommitPoint::default());
        task.drain();
        for offset in 0..10_000 {
            let position = Position { topic: "decide".into(), partition: 0, offset };
            let record = RawRecord {
                position,
                timestamp: 0,
                key: None,
                value: None,
                headers: Headers::new(),
            };
            task.handle(Event::Fetched { input: 0, record }, 0);
        }
        task.tick(0);
        assert_eq!(paused.get(), 1);
        drop(engine);
        assert_eq!(paused.get(), 0);
    }
}
