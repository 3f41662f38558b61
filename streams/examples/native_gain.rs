//! What the runtime's direct calls of the Kafka client gain over the safe ones: processor time of this
//! whole process for the same records, both ways in turns, the best of each.
//!
//! ```text
//! cargo run --release -p streams --features testing --example native_gain -- localhost:9092 1000000
//! ```
//!
//! The broker needs room for some gigabytes; the topics `native-gain-*` are made anew.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use rdkafka::{
    ClientConfig, ClientContext, Message as _, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext},
};
use streams::testing::native::{BatchReader, Forwarding, ProduceError, Sender, pump};

const PARTITIONS: i32 = 8;
const VALUE: [u8; 200] = [b'x'; 200];
const ROUNDS: usize = 3;
const TIMEOUT: Duration = Duration::from_mins(1);
/// Records handed out by one `read`.
const BATCH: usize = 1_000;
/// What the kernel counts processor time in, on every Linux there is.
const TICKS_PER_SECOND: u64 = 100;

struct Quiet;

impl ClientContext for Quiet {}

impl ProducerContext for Quiet {
    type DeliveryOpaque = usize;

    fn delivery(&self, _: &DeliveryResult<'_>, _: usize) {}
}

/// Processor time of this process, in milliseconds.
fn processor_ms() -> anyhow::Result<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat").context("reading the process's times")?;
    // after the program's name in parentheses: the 12th and 13th field
    let (_, fields) = stat.rsplit_once(')').context("finding the end of the name")?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
    let ticks: u64 = ticks.sum::<Result<_, _>>().context("reading ticks")?;
    Ok(ticks * 1_000 / TICKS_PER_SECOND)
}

fn cost(work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<u64> {
    let before = processor_ms()?;
    work()?;
    Ok(processor_ms()?.saturating_sub(before))
}

fn client(servers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers);
    config
}

fn producer(servers: &str) -> anyhow::Result<Arc<BaseProducer<Quiet>>> {
    let mut config = client(servers);
    config
        .set("enable.idempotence", "true")
        .set("linger.ms", "5")
        .set("queue.buffering.max.messages", "500000")
        .set("delivery.report.only.error", "true");
    Ok(Arc::new(config.create_with_context(Quiet)?))
}

fn key(number: i64) -> [u8; 8] {
    number.to_be_bytes()
}

fn partition(number: i64) -> Option<i32> {
    i32::try_from(number % i64::from(PARTITIONS)).ok()
}

fn send_safely(servers: &str, topic: &str, count: i64) -> anyhow::Result<()> {
    let producer = producer(servers)?;
    for number in 0..count {
        let key = key(number);
        let mut record = BaseRecord::with_opaque_to(topic, 0).key(&key[..]).payload(&VALUE[..]);
        record.partition = partition(number);
        while let Err((error, back)) = producer.send(record) {
            let is_full = error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull);
            ensure!(is_full, error);
            producer.poll(Duration::from_millis(5));
            record = back;
        }
    }
    Ok(producer.flush(TIMEOUT)?)
}

fn send_directly(servers: &str, topic: &str, count: i64) -> anyhow::Result<()> {
    let producer = producer(servers)?;
    let mut sender = Sender::new(&producer);
    let topic: Arc<str> = topic.into();
    let none: [(&str, &[u8]); 0] = [];
    for number in 0..count {
        let key = key(number);
        let place = partition(number);
        loop {
            match sender.produce(&topic, place, Some(&key), Some(&VALUE), None, none, 0) {
                Ok(()) => break,
                Err(ProduceError::QueueFull) => producer.poll(Duration::from_millis(5)),
                Err(error) => return Err(error.into()),
            }
        }
    }
    pump(&producer);
    Ok(producer.flush(TIMEOUT)?)
}

fn consumer(servers: &str) -> anyhow::Result<Arc<BaseConsumer>> {
    let mut config = client(servers);
    config
        .set("group.id", "native-gain")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("isolation.level", "read_committed")
        .set("fetch.queue.backoff.ms", "5")
        .set("queued.max.messages.kbytes", "65536");
    Ok(Arc::new(config.create()?))
}

fn all_partitions(topic: &str) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(topic, partition, Offset::Beginning)?;
    }
    Ok(list)
}

fn read_safely(servers: &str, topic: &str, count: i64) -> anyhow::Result<()> {
    let consumer = consumer(servers)?;
    consumer.assign(&all_partitions(topic)?)?;
    let (mut seen, mut bytes) = (0, 0);
    while seen < count {
        let message = consumer.poll(TIMEOUT).context("no record comes")??;
        bytes += message.payload().map_or(0, <[u8]>::len);
        seen += 1;
    }
    ensure!(bytes > 0, "the records are empty");
    Ok(())
}

fn read_directly(servers: &str, topic: &str, count: i64) -> anyhow::Result<()> {
    let consumer = consumer(servers)?;
    let forwarding = Forwarding::default();
    let mut reader = BatchReader::new(&consumer, &forwarding, BATCH);
    for partition in 0..PARTITIONS {
        forwarding.forward(topic, partition)?;
    }
    consumer.assign(&all_partitions(topic)?)?;
    let (mut seen, mut bytes) = (0, 0);
    while seen < count {
        ensure!(consumer.poll(Duration::ZERO).is_none(), "a record came past the reader");
        reader.read(Duration::from_millis(100), |record| {
            if let Ok(record) = record {
                bytes += record.value.map_or(0, <[u8]>::len);
                seen += 1;
            }
        });
    }
    ensure!(bytes > 0, "the records are empty");
    Ok(())
}

async fn make_topics(servers: &str, topics: &[&str]) -> anyhow::Result<()> {
    let admin: AdminClient<DefaultClientContext> = client(servers).create()?;
    let options = AdminOptions::new().operation_timeout(Some(TIMEOUT));
    // there may be none to delete
    admin.delete_topics(topics, &options).await?;
    for topic in topics {
        let new = NewTopic::new(topic, PARTITIONS, TopicReplication::Fixed(1));
        for made in admin.create_topics([&new], &options).await? {
            made.map_err(|(topic, code)| anyhow::anyhow!("topic {topic}: {code}"))?;
        }
    }
    Ok(())
}

type Work = fn(&str, &str, i64) -> anyhow::Result<()>;

#[expect(clippy::print_stdout, reason = "the output is the product")]
fn compare(
    what: &str,
    count: i64,
    mut ways: [(u64, impl FnMut() -> anyhow::Result<()>); 2],
) -> anyhow::Result<()> {
    for _ in 0..ROUNDS {
        for (best, work) in &mut ways {
            *best = (*best).min(cost(work)?);
        }
    }
    let [(safely, _), (directly, _)] = ways;
    println!(
        "{what}, {count} records: {safely} ms of processor safely, {directly} ms directly, {} %",
        directly * 100 / safely.max(1)
    );
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let servers = arguments.next().context("expected host:port of a broker as first argument")?;
    let count = arguments.next().map_or(Ok(1_000_000), |count| count.parse())?;
    let topics = ["native-gain-safely", "native-gain-directly"];
    tokio::runtime::Runtime::new()?.block_on(make_topics(&servers, &topics))?;
    let [safely, directly] = topics;
    let way = |work: Work, topic: &'static str| {
        let servers = servers.clone();
        (u64::MAX, move || work(&servers, topic, count))
    };
    compare("sending", count, [way(send_safely, safely), way(send_directly, directly)])?;
    compare("reading", count, [way(read_safely, safely), way(read_directly, directly)])
}
