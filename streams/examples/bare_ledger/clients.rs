//! The Kafka clients and topics of the loop.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, DeliveryResult, Producer as _, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;

use crate::pipeline::{BALANCES, SEEN};

/// First answers of a broker that has just started take this long.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// Partitions the delivery reports are counted for.
const PARTITIONS_MAX: usize = 1_024;

/// What the environment asks for.
#[derive(Clone, Debug, clap::Parser)]
pub(crate) struct Settings {
    /// Kafka.
    #[arg(long, env = "BOOTSTRAP")]
    pub(crate) bootstrap: String,
    /// Topic with the transactions.
    #[arg(long, env = "IN_TOPIC")]
    pub(crate) input: String,
    /// Topic for the balances.
    #[arg(long, env = "OUT_TOPIC")]
    pub(crate) output: String,
    /// Consumer group, transactional id, and prefix of the changelogs.
    #[arg(long, env = "APP_ID")]
    pub(crate) app_id: String,
    /// Folder of the local state.
    #[arg(long, env = "STATE_DIR")]
    pub(crate) state_dir: std::path::PathBuf,
    /// How the local state is kept.
    #[arg(long, env = "STATE", default_value = "log")]
    pub(crate) state: String,
    /// From the first record of a transaction to its commit, milliseconds.
    #[arg(long, env = "COMMIT_MS", default_value = "100", value_parser = milliseconds)]
    pub(crate) commit_interval: Duration,
}

fn milliseconds(text: &str) -> Result<Duration, std::num::ParseIntError> {
    text.parse().map(Duration::from_millis)
}

/// Names of the changelogs.
#[derive(Debug)]
pub(crate) struct Topics {
    pub(crate) balances: String,
    pub(crate) seen: String,
}

/// The next offset after the acknowledged ones, by kind of record and partition.
#[derive(Debug)]
pub(crate) struct Acknowledged {
    next: [Vec<AtomicI64>; 2],
}

impl Acknowledged {
    fn new() -> Self {
        let zeros = || (0..PARTITIONS_MAX).map(|_| AtomicI64::new(0)).collect();
        Self { next: [zeros(), zeros()] }
    }

    fn slot(&self, mark: usize, partition: usize) -> Option<&AtomicI64> {
        let kind = match mark {
            BALANCES => 0,
            SEEN => 1,
            _ => return None,
        };
        self.next.get(kind)?.get(partition)
    }

    pub(crate) fn next(&self, mark: usize, partition: usize) -> i64 {
        self.slot(mark, partition).map_or(0, |slot| slot.load(Ordering::Relaxed))
    }
}

impl ClientContext for Acknowledged {}

impl ProducerContext for Acknowledged {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, mark: usize) {
        // A record that was not delivered fails the transaction by itself.
        let Ok(message) = result else { return };
        let partition = usize::try_from(message.partition()).unwrap_or(usize::MAX);
        if let Some(slot) = self.slot(mark, partition) {
            slot.fetch_max(message.offset().saturating_add(1), Ordering::Relaxed);
        }
    }
}

impl Settings {
    pub(crate) fn consumer(&self) -> Result<BaseConsumer> {
        ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .set("group.id", &self.app_id)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            .set("isolation.level", "read_committed")
            .set("enable.partition.eof", "false")
            // The default of a second stalls a consumer that empties its queue.
            .set("fetch.queue.backoff.ms", "5")
            .set("queued.min.messages", "50000")
            .set("queued.max.messages.kbytes", "32768")
            .set("fetch.wait.max.ms", "100")
            .set("check.crcs", "false")
            .create()
            .context("creating a consumer")
    }

    /// A consumer for the changelogs, which says when it is at their end.
    pub(crate) fn restorer(&self) -> Result<BaseConsumer> {
        ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .set("group.id", format!("{}-restore", self.app_id))
            .set("enable.auto.commit", "false")
            .set("isolation.level", "read_committed")
            .set("enable.partition.eof", "true")
            .set("fetch.queue.backoff.ms", "5")
            .set("queued.min.messages", "100000")
            .set("fetch.wait.max.ms", "10")
            .create()
            .context("creating a consumer for the changelogs")
    }

    /// The producer, its predecessor's transaction aborted.
    pub(crate) fn producer(&self) -> Result<BaseProducer<Acknowledged>> {
        let producer: BaseProducer<Acknowledged> = ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .set("transactional.id", format!("{}-1", self.app_id))
            .set("linger.ms", "5")
            .set("batch.size", "131072")
            .set("batch.num.messages", "10000")
            .set("queue.buffering.max.messages", "500000")
            .set("queue.buffering.max.kbytes", "262144")
            .create_with_context(Acknowledged::new())
            .context("creating a producer")?;
        producer.init_transactions(START_TIMEOUT).context("taking the transactional id")?;
        Ok(producer)
    }

    /// Partitions of the input.
    pub(crate) fn partitions(&self, consumer: &BaseConsumer) -> Result<usize> {
        let metadata = consumer.fetch_metadata(Some(&self.input), START_TIMEOUT);
        let metadata = metadata.context("asking for the input topic")?;
        match metadata.topics().first().map(|topic| topic.partitions().len()) {
            Some(count) if (1..=PARTITIONS_MAX).contains(&count) => Ok(count),
            found => {
                bail!("topic {}: {found:?} partitions; expected 1 to {PARTITIONS_MAX}", self.input)
            }
        }
    }

    /// Makes the changelogs unless they are there.
    pub(crate) async fn changelogs(&self, partitions: usize) -> Result<Topics> {
        let topics = Topics {
            balances: format!("{}-balances-changelog", self.app_id),
            seen: format!("{}-seen-changelog", self.app_id),
        };
        let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .create()
            .context("creating an admin client")?;
        let count = i32::try_from(partitions).context("counting partitions")?;
        let topic = |name, policy| {
            NewTopic::new(name, count, TopicReplication::Fixed(1)).set("cleanup.policy", policy)
        };
        let wanted = [topic(&topics.balances, "compact"), topic(&topics.seen, "delete")];
        let made = admin.create_topics(&wanted, &AdminOptions::new()).await;
        for result in made.context("creating the changelogs")? {
            match result {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((topic, code)) => bail!("creating {topic}: {code}"),
            }
        }
        Ok(topics)
    }
}
