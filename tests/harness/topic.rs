//! Records and offsets of a topic, past every part of the pipeline.
use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::Headers as _;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};
use streams::admin::Admin;

/// How long Kafka may take for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// One record as it stands on a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumed {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its value's bytes; none for a tombstone.
    pub value: Option<Vec<u8>>,
    /// Its headers; of two with one name the later.
    pub headers: BTreeMap<String, Vec<u8>>,
}

/// Every record that is on `topic` now.
pub async fn read_all(bootstrap_servers: &str, topic: &str) -> anyhow::Result<Vec<Consumed>> {
    let admin = Admin::new(bootstrap_servers)?;
    let topics = admin.topics().await?;
    let partitions = topics.get(topic).with_context(|| format!("no topic {topic}"))?.partitions;
    let ends = admin.watermarks(topic, partitions).await?;
    let mut from = TopicPartitionList::new();
    for partition in ends.keys() {
        from.add_partition_offset(topic, *partition, Offset::Beginning)?;
    }
    let consumer: BaseConsumer = client(bootstrap_servers)
        .set("group.id", "reader")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        .create()?;
    consumer.assign(&from)?;
    let open = ends.len();
    let read = tokio::task::spawn_blocking(move || read(&consumer, open));
    read.await?
}

/// Reads until `open` partitions have told of their ends: offsets do not tell how many records there
/// are, since transactions leave markers between them.
fn read(consumer: &BaseConsumer, mut open: usize) -> anyhow::Result<Vec<Consumed>> {
    let mut records = Vec::new();
    while open > 0 {
        let polled = consumer.poll(ANSWER_TIMEOUT).context("records that are there do not come")?;
        let message = match polled {
            Err(KafkaError::PartitionEOF(_)) => {
                open -= 1;
                continue;
            }
            message => message?,
        };
        let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
        let headers = headers
            .map(|header| (header.key.to_owned(), header.value.unwrap_or_default().to_vec()))
            .collect();
        records.push(Consumed {
            partition: message.partition(),
            offset: message.offset(),
            value: message.payload().map(<[u8]>::to_vec),
            headers,
        });
    }
    Ok(records)
}

/// Writes one record as it is, and gives its partition and offset.
pub async fn produce(
    bootstrap_servers: &str,
    topic: &str,
    key: &str,
    value: &[u8],
) -> anyhow::Result<(i32, i64)> {
    let producer: FutureProducer =
        client(bootstrap_servers).set("partitioner", "murmur2_random").create()?;
    let record = FutureRecord::to(topic).key(key).payload(value);
    let delivery = producer.send(record, ANSWER_TIMEOUT).await.map_err(|(error, _)| error)?;
    Ok((delivery.partition, delivery.offset))
}

/// The offset of the next record that `group` will read of a partition; none when it never committed.
pub async fn committed(
    bootstrap_servers: &str,
    group: &str,
    topic: &str,
    partition: i32,
) -> anyhow::Result<Option<i64>> {
    let admin = Admin::new(bootstrap_servers)?;
    let offsets = admin.group_offsets(group, &[(topic.to_owned(), partition + 1)]).await?;
    let offset = offsets.into_iter().find(|offset| offset.partition == partition);
    Ok(offset.and_then(|offset| offset.committed))
}

fn client(bootstrap_servers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap_servers);
    config
}
