//! The consumer of a stream thread: configuration, and the callbacks of its group.

use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::{
    ClientConfig, ClientContext, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext, Rebalance},
    error::{KafkaError, KafkaResult},
};

use super::engine::Engine;

/// Bytes of fetched records the client keeps per consumer.
const QUEUED_KBYTES_MAX: &str = "32768";

pub(super) type Consumer = BaseConsumer<Group>;

/// Connects the group's callbacks with the engine. They run on the thread that polls, which holds
/// no lock while it does.
pub(super) struct Group {
    pub(super) engine: Arc<Mutex<Engine>>,
}

impl ClientContext for Group {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(%error, reason, "consumer");
    }
}

impl ConsumerContext for Group {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Revoke(partitions) = rebalance {
            let is_lost = consumer.assignment_lost();
            let partitions = places(partitions);
            tracing::info!(?partitions, is_lost, "partitions revoked");
            lock(&self.engine).revoke(&partitions, is_lost, consumer);
        }
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(partitions) => {
                // Nothing is read before its state is there.
                if let Err(error) = consumer.pause(partitions) {
                    tracing::warn!(%error, "pausing new partitions");
                }
                let partitions = places(partitions);
                tracing::info!(?partitions, "partitions assigned");
                lock(&self.engine).assign(&partitions);
            }
            Rebalance::Revoke(_) => {}
            Rebalance::Error(error) => tracing::warn!(%error, "rebalance"),
        }
    }
}

pub(super) fn lock(engine: &Mutex<Engine>) -> std::sync::MutexGuard<'_, Engine> {
    engine.lock().unwrap_or_else(PoisonError::into_inner)
}

fn places(partitions: &TopicPartitionList) -> Vec<(String, i32)> {
    let elements = partitions.elements();
    elements.iter().map(|element| (element.topic().to_owned(), element.partition())).collect()
}

/// How a member of the group is made.
pub(super) struct Membership<'a> {
    pub(super) servers: &'a str,
    pub(super) group_id: &'a str,
    pub(super) instance: &'a str,
    pub(super) session_timeout_ms: u128,
    /// Sources that have to arrive together, partition by partition, need `range`: equal counts
    /// alone do not put partition i of both on one member.
    pub(super) is_co_partitioned: bool,
}

pub(super) fn consumer(
    membership: &Membership<'_>,
    engine: Arc<Mutex<Engine>>,
) -> KafkaResult<Consumer> {
    let Membership { servers, group_id, instance, session_timeout_ms, is_co_partitioned } =
        membership;
    let assignor = if *is_co_partitioned { "range" } else { "cooperative-sticky" };
    ClientConfig::new()
        .set("bootstrap.servers", *servers)
        .set("client.id", format!("{group_id}-{instance}"))
        .set("group.id", *group_id)
        .set("group.instance.id", format!("{group_id}-{instance}"))
        .set("partition.assignment.strategy", assignor)
        .set("session.timeout.ms", session_timeout_ms.to_string())
        .set("heartbeat.interval.ms", (session_timeout_ms / 5).max(1).to_string())
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "earliest")
        .set("isolation.level", "read_committed")
        .set("allow.auto.create.topics", "false")
        .set("fetch.queue.backoff.ms", "5")
        .set("fetch.wait.max.ms", "100")
        .set("queued.max.messages.kbytes", QUEUED_KBYTES_MAX)
        .create_with_context(Group { engine })
}
