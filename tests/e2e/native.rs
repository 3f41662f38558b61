//! The runtime's direct calls of the Kafka client, against a real broker.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use harness::Kafka;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, Rebalance};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseProducer, DeliveryResult, Producer as _, ProducerContext};
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};
use streams::testing::native::{
    BatchReader, Forwarding, Kind, Sender, TransactionError, abort, begin, commit_transaction,
    end_offsets, init, send_offsets,
};

const DEADLINE: Duration = Duration::from_mins(1);
/// One wait of a reading loop.
const WAIT: Duration = Duration::from_millis(50);
const VALUE: &[u8] = b"v";
const NO_HEADERS: [(&str, &[u8]); 0] = [];

#[expect(clippy::disallowed_methods, reason = "these tests are about the time that calls take")]
fn now() -> Instant {
    Instant::now()
}

/// Calls, which may wait a little, until the answer is yes; fails after the deadline.
fn until(what: &str, mut is_done: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let start = now();
    while !is_done()? {
        anyhow::ensure!(start.elapsed() < DEADLINE, "waited in vain for {what}");
    }
    Ok(())
}

/// Remembers why deliveries failed.
#[derive(Clone, Default)]
struct Failed(Arc<Mutex<Vec<RDKafkaErrorCode>>>);

impl ClientContext for Failed {}

impl ProducerContext for Failed {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, _: usize) {
        if let Err((error, _)) = result {
            self.0.lock().unwrap().extend(error.rdkafka_error_code());
        }
    }
}

struct Writer {
    sender: Sender<Failed>,
    failed: Failed,
}

impl Writer {
    fn new(mut config: ClientConfig, id: &str) -> anyhow::Result<Self> {
        let failed = Failed::default();
        config
            .set("transactional.id", id)
            .set("delivery.report.only.error", "true")
            .set("linger.ms", "0");
        let producer = Arc::new(config.create_with_context(failed.clone())?);
        init(&producer, DEADLINE)?;
        Ok(Self { sender: Sender::new(&producer), failed })
    }

    fn producer(&self) -> &BaseProducer<Failed> {
        self.sender.producer()
    }

    fn send(&mut self, topic: &str, partition: i32, values: &[&[u8]]) -> anyhow::Result<()> {
        let topic = Arc::from(topic);
        for value in values {
            let partition = Some(partition);
            self.sender.produce(&topic, partition, None, Some(value), None, NO_HEADERS, 0)?;
        }
        Ok(())
    }

    fn commit(&mut self, topic: &str, partition: i32, values: &[&[u8]]) -> anyhow::Result<()> {
        begin(self.producer())?;
        self.send(topic, partition, values)?;
        Ok(commit_transaction(self.producer(), DEADLINE)?)
    }
}

/// A member of a group whose partitions are forwarded as they come.
#[derive(Clone, Default)]
struct Member {
    forwarding: Forwarding,
    owned: Arc<Mutex<BTreeSet<i32>>>,
}

impl ClientContext for Member {}

impl ConsumerContext for Member {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let mut owned = self.owned.lock().unwrap();
        match rebalance {
            Rebalance::Assign(list) => {
                for element in list.elements() {
                    self.forwarding.forward(element.topic(), element.partition()).unwrap();
                    owned.insert(element.partition());
                }
            }
            Rebalance::Revoke(list) => {
                for element in list.elements() {
                    self.forwarding.unforward(element.topic(), element.partition());
                    owned.remove(&element.partition());
                }
            }
            Rebalance::Error(error) => panic!("{error}"),
        }
    }
}

struct Reading {
    consumer: Arc<BaseConsumer<Member>>,
    reader: BatchReader<Member>,
    member: Member,
}

impl Reading {
    fn new(
        mut config: ClientConfig,
        capacity: usize,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let member = Member::default();
        config
            .set("group.id", "g")
            .set("auto.offset.reset", "earliest")
            .set("enable.auto.commit", "false")
            .set("fetch.wait.max.ms", "10")
            .set("fetch.queue.backoff.ms", "5");
        for (key, value) in settings {
            config.set(*key, *value);
        }
        let consumer = Arc::new(config.create_with_context(member.clone())?);
        let reader = BatchReader::new(&consumer, &member.forwarding, capacity);
        Ok(Self { consumer, reader, member })
    }

    fn assign(&self, topic: &str, partition: i32) -> anyhow::Result<()> {
        self.member.forwarding.forward(topic, partition)?;
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Beginning)?;
        Ok(self.consumer.assign(&list)?)
    }

    /// One round of a thread's loop: partition, offset and size of the records that came.
    fn round(&mut self) -> anyhow::Result<Vec<(i32, i64, usize)>> {
        let stray = self.consumer.poll(Duration::ZERO).transpose()?;
        anyhow::ensure!(stray.is_none(), "a record came past the reader: {stray:?}");
        let mut got = Vec::new();
        let mut failed = None;
        self.reader.read(WAIT, |record| match record {
            Ok(record) => {
                let size = record.value.map_or(0, <[u8]>::len);
                got.push((record.partition, record.offset, size));
            }
            Err(error) => failed = Some(error),
        });
        failed.map_or(Ok(got), |error| Err(error.into()))
    }
}

async fn blocking(
    test: impl FnOnce() -> anyhow::Result<()> + Send + 'static,
) -> anyhow::Result<()> {
    tokio::task::spawn_blocking(test).await?
}

#[tokio::test]
async fn a_refused_record_costs_its_transaction_and_a_fence_the_producer() -> anyhow::Result<()> {
    let kafka = Kafka::start("native_transactions").await?;
    kafka.create_topic("t", 1, &[("max.message.bytes", "2000")]).await?;
    let client = kafka.client();
    blocking(move || {
        let mut writer = Writer::new(client.clone(), "w")?;
        writer.commit("t", 0, &[b"first"])?;

        begin(writer.producer())?;
        writer.send("t", 0, &[b"lost with the next", &[7; 5_000]])?;
        let error = commit_transaction(writer.producer(), DEADLINE).unwrap_err();
        assert_eq!(error.kind, Kind::Abort, "{error}");
        let failed = writer.failed.0.lock().unwrap().clone();
        assert!(failed.contains(&RDKafkaErrorCode::MessageSizeTooLarge), "{failed:?}");
        abort(writer.producer(), DEADLINE)?;
        // The refused record has left a gap in the producer's numbers, at which the broker may refuse
        // the next transaction too; the abort of that one begins them anew.
        let mut refusals = 0;
        while let Err(error) = writer.commit("t", 0, &[b"second"]) {
            let error = error.downcast::<TransactionError>()?;
            assert_eq!(error.kind, Kind::Abort, "{error}");
            abort(writer.producer(), DEADLINE)?;
            refusals += 1;
            assert!(refusals < 3, "{error}");
        }

        let mut second = Writer::new(client.clone(), "w")?;
        begin(writer.producer())?;
        writer.send("t", 0, &[b"of a zombie"])?;
        let error = commit_transaction(writer.producer(), DEADLINE).unwrap_err();
        assert_eq!(error.kind, Kind::Fatal, "{error}");
        second.commit("t", 0, &[b"third!"])?;

        let mut reading = Reading::new(client, 10, &[("isolation.level", "read_committed")])?;
        reading.assign("t", 0)?;
        let mut sizes = Vec::new();
        until("three records", || {
            sizes.extend(reading.round()?.into_iter().map(|(_, _, size)| size));
            Ok(sizes.len() >= 3)
        })?;
        assert_eq!(sizes, [5, 6, 6]);
        Ok(())
    })
    .await?;
    kafka.stop().await
}

#[tokio::test]
async fn a_commit_on_a_real_broker_does_not_stall() -> anyhow::Result<()> {
    const ROUNDS: u32 = 20;
    let kafka = Kafka::start("native_commit").await?;
    kafka.create_topic("t", 1, &[]).await?;
    let client = kafka.client();
    blocking(move || {
        let mut writer = Writer::new(client, "w")?;
        writer.commit("t", 0, &[b"warm"])?;
        let mut took = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            let [ours, stock] = &mut took;
            let mut call =
                |times: &mut Vec<Duration>, commit: &dyn Fn(&Writer) -> anyhow::Result<()>| {
                    begin(writer.producer())?;
                    writer.send("t", 0, &[VALUE; 10])?;
                    let start = now();
                    commit(&writer)?;
                    times.push(start.elapsed());
                    anyhow::Ok(())
                };
            call(ours, &|writer| Ok(commit_transaction(writer.producer(), DEADLINE)?))?;
            call(stock, &|writer| Ok(writer.producer().commit_transaction(DEADLINE)?))?;
        }
        // the shortest of many: a busy machine only adds
        let [ours, stock] = took.map(|times| times.into_iter().min().unwrap_or_default());
        eprintln!("shortest commit: {ours:?} directly, {stock:?} by the safe call");
        assert!(ours * 3 < stock, "{ours:?} is not well below {stock:?}");
        Ok(())
    })
    .await?;
    kafka.stop().await
}

#[tokio::test]
async fn ends_of_partitions_come_in_one_round_and_positions_reach_them() -> anyhow::Result<()> {
    const PARTITIONS: i32 = 40;
    let kafka = Kafka::start("native_offsets").await?;
    kafka.create_topic("t", PARTITIONS, &[]).await?;
    let client = kafka.client();
    blocking(move || {
        let mut writer = Writer::new(client.clone(), "w")?;
        begin(writer.producer())?;
        for partition in 0..PARTITIONS {
            let count = usize::try_from(partition)?;
            writer.send("t", partition, &vec![VALUE; count])?;
        }
        commit_transaction(writer.producer(), DEADLINE)?;
        // partition 1 ends with records that were given up: 1 record, marker, 100 records, marker
        begin(writer.producer())?;
        writer.send("t", 1, &[VALUE; 100])?;
        writer.producer().flush(DEADLINE)?;
        abort(writer.producer(), DEADLINE)?;

        let all: Vec<(&str, i32)> = (0..PARTITIONS).map(|partition| ("t", partition)).collect();
        let committed = [("isolation.level", "read_committed")];
        let mut reading = Reading::new(client.clone(), 1_000, &committed)?;
        let asked = now();
        let ends = end_offsets(&*reading.consumer, &all, DEADLINE)?;
        let together = asked.elapsed();
        // a partition that was written to ends with its marker
        let with_marker = |partition: i32| i64::from(partition) + i64::from(partition > 0);
        let mut expect: Vec<i64> = (0..PARTITIONS).map(with_marker).collect();
        *expect.get_mut(1).context("partition 1")? = 1 + 1 + 100 + 1;
        assert_eq!(ends, expect);
        let asked = now();
        for (topic, partition) in &all {
            reading.consumer.fetch_watermarks(topic, *partition, DEADLINE)?;
        }
        eprintln!("{PARTITIONS} ends: {together:?} together, {:?} one by one", asked.elapsed());

        reading.assign("t", 1)?;
        let mut seen = 0;
        until("the position to reach the end", || {
            seen += reading.round()?.len();
            let position = reading.consumer.position()?;
            let position = position.find_partition("t", 1).context("no position")?.offset();
            Ok(position == Offset::Offset(103))
        })?;
        assert_eq!(seen, 1, "what was given up is left out");

        // an open transaction ends what is committed, not what is there
        begin(writer.producer())?;
        writer.send("t", 2, &[VALUE; 5])?;
        writer.producer().flush(DEADLINE)?;
        let stable = end_offsets(&*reading.consumer, &[("t", 2)], DEADLINE)?;
        let dirty = Reading::new(client, 1, &[("isolation.level", "read_uncommitted")])?;
        let high = end_offsets(&*dirty.consumer, &[("t", 2)], DEADLINE)?;
        assert_eq!((stable, high), (vec![3], vec![8]));
        abort(writer.producer(), DEADLINE)?;

        let unknown = end_offsets(&*dirty.consumer, &[("t", 0), ("t", PARTITIONS)], DEADLINE);
        assert!(unknown.is_err(), "{unknown:?}");
        Ok(())
    })
    .await?;
    kafka.stop().await
}

/// Reads with one member, then two, then one again; nobody is handed a record of a partition that was
/// revoked, and each takes a partition up without a gap.
fn rebalance(
    client: &ClientConfig,
    topic: &str,
    settings: &[(&str, &str)],
    each: i64,
) -> anyhow::Result<()> {
    let mut first = Reading::new(client.clone(), 20, settings)?;
    first.consumer.subscribe(&[topic])?;
    let partitions = 4_usize;
    // by member and partition: where it goes on
    let mut next: [BTreeMap<i32, i64>; 2] = [BTreeMap::new(), BTreeMap::new()];
    let take = |reading: &mut Reading, next: &mut BTreeMap<i32, i64>| {
        let got = reading.round()?;
        let owned = reading.member.owned.lock().unwrap();
        next.retain(|partition, _| owned.contains(partition));
        for (partition, offset, _) in got {
            assert!(owned.contains(&partition), "{partition} spoke after it was revoked");
            let expect = next.entry(partition).or_insert(0);
            assert_eq!(offset, *expect, "partition {partition}");
            *expect += 1;
        }
        anyhow::Ok(())
    };
    let [ours, theirs] = &mut next;
    until("a start", || {
        take(&mut first, ours)?;
        Ok(ours.values().sum::<i64>() > 100)
    })?;
    let mut second = Reading::new(client.clone(), 20, settings)?;
    second.consumer.subscribe(&[topic])?;
    let owned = |reading: &Reading| reading.member.owned.lock().unwrap().len();
    until("two partitions each", || {
        take(&mut first, ours)?;
        take(&mut second, theirs)?;
        Ok(owned(&first) == 2 && owned(&second) == 2)
    })?;
    drop(second);
    until("all partitions again, to their ends", || {
        take(&mut first, ours)?;
        Ok(owned(&first) == partitions && ours.values().all(|next| *next == each))
    })
}

#[tokio::test]
async fn nothing_of_a_revoked_partition_is_read_under_either_protocol() -> anyhow::Result<()> {
    const EACH: usize = 3_000;
    let kafka = Kafka::start("native_rebalance").await?;
    kafka.create_topic("t", 4, &[]).await?;
    let client = kafka.client();
    blocking(move || {
        let mut writer = Writer::new(client.clone(), "w")?;
        for partition in 0..4 {
            writer.commit("t", partition, &vec![VALUE; EACH])?;
        }
        let each = i64::try_from(EACH)?;
        let classic = ("partition.assignment.strategy", "cooperative-sticky");
        rebalance(&client, "t", &[("group.id", "classic"), classic], each)?;
        let range = ("partition.assignment.strategy", "range");
        rebalance(&client, "t", &[("group.id", "eager"), range], each)?;
        rebalance(&client, "t", &[("group.id", "new"), ("group.protocol", "consumer")], each)
    })
    .await?;
    kafka.stop().await
}

#[tokio::test]
async fn offsets_of_a_batch_and_its_copies_are_committed_together() -> anyhow::Result<()> {
    const COUNT: usize = 500;
    let kafka = Kafka::start("native_copy").await?;
    kafka.create_topic("in", 1, &[]).await?;
    kafka.create_topic("out", 1, &[]).await?;
    let client = kafka.client();
    blocking(move || {
        let mut source = Writer::new(client.clone(), "source")?;
        source.commit("in", 0, &[VALUE; COUNT])?;
        let mut writer = Writer::new(client.clone(), "copy")?;
        let settings = [("isolation.level", "read_committed"), ("group.id", "copy")];
        let mut copied = 0;
        // a new member each time, which goes on where the last transaction left off
        for is_committed in [true, false, true] {
            let mut reading = Reading::new(client.clone(), 100, &settings)?;
            reading.consumer.subscribe(&["in"])?;
            let mut got = Vec::new();
            until("a batch", || {
                got = reading.round()?;
                Ok(!got.is_empty())
            })?;
            let first = got.first().context("no record")?.1;
            assert_eq!(usize::try_from(first)?, copied, "no gap, nothing twice");
            begin(writer.producer())?;
            writer.send("out", 0, &vec![VALUE; got.len()])?;
            let group = reading.consumer.group_metadata().context("no group")?;
            let mut offsets = TopicPartitionList::new();
            let next = got.last().context("no record")?.1 + 1;
            offsets.add_partition_offset("in", 0, Offset::Offset(next))?;
            send_offsets(writer.producer(), &offsets, &group, DEADLINE)?;
            if is_committed {
                commit_transaction(writer.producer(), DEADLINE)?;
                copied = usize::try_from(next)?;
            } else {
                abort(writer.producer(), DEADLINE)?;
            }
        }
        let mut check = Reading::new(client, 100, &[("isolation.level", "read_committed")])?;
        check.assign("out", 0)?;
        let mut seen = 0;
        until("the copies", || {
            seen += check.round()?.len();
            Ok(seen >= copied)
        })?;
        assert_eq!((seen, check.round()?.len()), (copied, 0));
        Ok(())
    })
    .await?;
    kafka.stop().await
}
