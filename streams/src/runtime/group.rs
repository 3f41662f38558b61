//! The consumer of a stream thread: configuration, and the callbacks of its group.

use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::{
    ClientConfig, ClientContext, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext, Rebalance},
    error::{KafkaError, KafkaResult},
};

use super::engine::Engine;
use crate::native::Forwarding;

/// Bytes of fetched records the client keeps per consumer.
const QUEUED_KBYTES_MAX: &str = "32768";

/// Records of a partition the client tries to have there before they are asked for.
const QUEUED_RECORDS_MIN: &str = "50000";

/// How the group agrees on who reads what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum GroupProtocol {
    /// Members agree among themselves, through the broker.
    #[default]
    Classic,
    /// The broker decides (KIP-848; Kafka 4.0 and newer).
    Consumer,
}

pub(super) type Consumer = BaseConsumer<Group>;

/// Connects the group's callbacks with the engine. They run on the thread that polls, which holds
/// no lock while it does.
pub(super) struct Group {
    pub(super) engine: Arc<Mutex<Engine>>,
    pub(super) forwarding: Forwarding,
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
            for (topic, partition) in &partitions {
                self.forwarding.unforward(topic, *partition);
            }
        }
        if let Rebalance::Assign(partitions) = rebalance {
            for (topic, partition) in places(partitions) {
                if let Err(error) = self.forwarding.forward(&topic, partition) {
                    lock(&self.engine).stop("consumer", &error.to_string());
                }
            }
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
                lock(&self.engine).assign(&partitions, consumer);
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
    pub(super) protocol: GroupProtocol,
    /// Sources that have to arrive together, partition by partition, need `range`: equal counts
    /// alone do not put partition i of both on one member.
    pub(super) is_co_partitioned: bool,
}

pub(super) fn consumer(
    membership: &Membership<'_>,
    engine: Arc<Mutex<Engine>>,
    forwarding: Forwarding,
) -> KafkaResult<Consumer> {
    let Membership { servers, group_id, instance, session_timeout_ms, protocol, is_co_partitioned } =
        membership;
    let mut config = ClientConfig::new();
    match protocol {
        GroupProtocol::Classic => {
            let assignor = if *is_co_partitioned { "range" } else { "cooperative-sticky" };
            config
                .set("partition.assignment.strategy", assignor)
                .set("session.timeout.ms", session_timeout_ms.to_string())
                .set("heartbeat.interval.ms", (session_timeout_ms / 5).max(1).to_string());
        }
        // The broker decides about sessions and heartbeats (KIP-848); a client that names them is
        // refused.
        GroupProtocol::Consumer => {
            let assignor = if *is_co_partitioned { "range" } else { "uniform" };
            config.set("group.protocol", "consumer").set("group.remote.assignor", assignor);
        }
    }
    config
        .set("bootstrap.servers", *servers)
        .set("client.id", format!("{group_id}-{instance}"))
        .set("group.id", *group_id)
        .set("group.instance.id", format!("{group_id}-{instance}"))
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "earliest")
        .set("isolation.level", "read_committed")
        .set("allow.auto.create.topics", "false")
        .set("fetch.queue.backoff.ms", "5")
        .set("fetch.wait.max.ms", "100")
        .set("queued.max.messages.kbytes", QUEUED_KBYTES_MAX)
        .set("queued.min.messages", QUEUED_RECORDS_MIN)
        .create_with_context(Group { engine, forwarding })
}
