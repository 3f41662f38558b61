//! Topics and clients of the bench.

use std::time::Duration;

use anyhow::{Context as _, bail};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::BaseProducer;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// A Kafka to measure on.
pub(super) struct Cluster {
    pub(super) bootstrap_servers: String,
    admin: AdminClient<DefaultClientContext>,
    ends: BaseConsumer,
}

impl Cluster {
    pub(super) fn new(bootstrap_servers: &str) -> anyhow::Result<Self> {
        let admin = ClientConfig::new()
            .set("bootstrap.servers", bootstrap_servers)
            .create()
            .context("creating an admin client")?;
        Ok(Self {
            bootstrap_servers: bootstrap_servers.to_owned(),
            admin,
            ends: consumer(bootstrap_servers)?,
        })
    }

    /// A new topic whose records carry the time at which the broker took them; one of the same name
    /// is deleted first.
    pub(super) async fn create(&self, topic: &str, partitions: i32) -> anyhow::Result<()> {
        self.delete(topic).await?;
        for _ in 0..50 {
            let wanted = NewTopic::new(topic, partitions, TopicReplication::Fixed(1))
                .set("message.timestamp.type", "LogAppendTime");
            let made = self.admin.create_topics([&wanted], &AdminOptions::new()).await?;
            if made.iter().all(Result::is_ok) && self.is_there(topic, partitions) {
                return Ok(());
            }
            // A deletion takes a moment.
            tokio::time::sleep(Duration::from_millis(100)).await;
            if self.is_there(topic, partitions)
                && self.end(topic, partitions).is_ok_and(|end| end == 0)
            {
                return Ok(());
            }
        }
        bail!("topic {topic} could not be created")
    }

    pub(super) async fn delete(&self, topic: &str) -> anyhow::Result<()> {
        // That it was not there is as good.
        self.admin.delete_topics(&[topic], &AdminOptions::new()).await?;
        Ok(())
    }

    fn is_there(&self, topic: &str, partitions: i32) -> bool {
        self.ends.fetch_metadata(Some(topic), CALL_TIMEOUT).is_ok_and(|metadata| {
            metadata.topics().iter().any(|known| {
                known.error().is_none()
                    && known.partitions().len() == usize::try_from(partitions).unwrap_or(0)
            })
        })
    }

    /// Offsets up to which `read_committed` readers may read, summed; transaction markers count.
    pub(super) fn end(&self, topic: &str, partitions: i32) -> anyhow::Result<u64> {
        let mut sum = 0_u64;
        for partition in 0..partitions {
            let (_, end) = self.ends.fetch_watermarks(topic, partition, CALL_TIMEOUT)?;
            sum = sum.saturating_add(u64::try_from(end).unwrap_or_default());
        }
        Ok(sum)
    }

    /// A reader of all of `topic` that sees only what is committed, from its beginning or its end.
    pub(super) fn reader(
        &self,
        topic: &str,
        partitions: i32,
        from: Offset,
    ) -> anyhow::Result<BaseConsumer> {
        let consumer = consumer(&self.bootstrap_servers)?;
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            list.add_partition_offset(topic, partition, from)?;
        }
        consumer.assign(&list)?;
        Ok(consumer)
    }

    pub(super) fn producer(&self, linger_ms: u32) -> anyhow::Result<BaseProducer> {
        ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap_servers)
            .set("partitioner", "murmur2_random")
            .set("linger.ms", linger_ms.to_string())
            .set("batch.size", "262144")
            .set("queue.buffering.max.messages", "500000")
            .create()
            .context("creating a producer")
    }
}

fn consumer(bootstrap_servers: &str) -> anyhow::Result<BaseConsumer> {
    ClientConfig::new()
        .set("bootstrap.servers", bootstrap_servers)
        .set("group.id", "bench")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        .set("fetch.wait.max.ms", "10")
        .set("fetch.queue.backoff.ms", "5")
        .create()
        .context("creating a consumer")
}
