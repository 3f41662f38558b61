use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use rdkafka::{
    ClientContext, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext, Rebalance},
    error::KafkaError,
    message::{Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer as _},
};

use super::{Cluster, DEADLINE, names, timed, until};
use crate::native::{BatchReader, ForwardError, Forwarding, watermarks};

const WAIT: Duration = Duration::from_millis(50);

/// A member of a group, or a consumer that assigns by hand.
#[derive(Clone, Default)]
struct Member {
    forwarding: Forwarding,
    owned: Arc<Mutex<BTreeSet<i32>>>,
}

impl ClientContext for Member {}

impl ConsumerContext for Member {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) => {
                for element in list.elements() {
                    self.forwarding.forward(element.topic(), element.partition()).unwrap();
                    self.owned.lock().unwrap().insert(element.partition());
                }
            }
            Rebalance::Revoke(list) => {
                for element in list.elements() {
                    self.forwarding.unforward(element.topic(), element.partition());
                    self.owned.lock().unwrap().remove(&element.partition());
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
    fn new(cluster: &Cluster, capacity: usize, settings: &[(&str, &str)]) -> Self {
        let member = Member::default();
        let mut config = cluster.config();
        config
            .set("group.id", "g")
            .set("auto.offset.reset", "earliest")
            .set("enable.auto.commit", "false")
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", "6000")
            .set("heartbeat.interval.ms", "100")
            .set("fetch.wait.max.ms", "10")
            .set("fetch.queue.backoff.ms", "5");
        for (key, value) in settings {
            config.set(*key, *value);
        }
        let consumer: BaseConsumer<Member> = config.create_with_context(member.clone()).unwrap();
        let consumer = Arc::new(consumer);
        let reader = BatchReader::new(&consumer, &member.forwarding, capacity);
        Self { consumer, reader, member }
    }

    /// Reads these partitions of `t` from their beginning.
    fn assigned(self, partitions: &[i32]) -> Self {
        self.assign(partitions);
        self
    }

    fn assign(&self, partitions: &[i32]) {
        for partition in partitions {
            self.member.forwarding.forward("t", *partition).unwrap();
        }
        self.consumer.incremental_assign(&list(partitions)).unwrap();
    }

    /// One round of a thread's loop: the values that came, with partition and offset.
    fn round(&mut self) -> Vec<(i32, i64, String)> {
        let stray = self.consumer.poll(Duration::ZERO).map(|message| message.map(|_| ()));
        assert_eq!(stray, None, "nothing comes past the reader");
        let mut got = Vec::new();
        self.reader.read(WAIT, |record| {
            let record = record.unwrap();
            let value = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
            got.push((record.partition, record.offset, value));
        });
        got
    }

    #[track_caller]
    fn values(&mut self, count: usize) -> Vec<String> {
        let mut values = Vec::new();
        until(&format!("{count} values"), || {
            values.extend(self.round().into_iter().map(|(_, _, value)| value));
            values.len() >= count
        });
        values
    }
}

fn list(partitions: &[i32]) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        list.add_partition_offset("t", *partition, Offset::Beginning).unwrap();
    }
    list
}

#[test]
fn every_part_of_a_record_is_lent_as_it_is() {
    let cluster = Cluster::start(&[("t", 1)]);
    let producer: BaseProducer = cluster.config().create().unwrap();
    let headers = OwnedHeaders::new()
        .insert(Header { key: "a", value: Some("1") })
        .insert(Header { key: "none", value: None::<&str> })
        .insert(Header { key: "a", value: Some("") });
    let record = BaseRecord::to("t").key("k").payload("v").timestamp(1_234).headers(headers);
    producer.send(record).map_err(|(error, _)| error).unwrap();
    let record = BaseRecord::<str, str>::to("t").key("");
    producer.send(record).map_err(|(error, _)| error).unwrap();
    producer.flush(DEADLINE).unwrap();

    let mut reading = Reading::new(&cluster, 10, &[]).assigned(&[0]);
    let mut offset = 0;
    until("both records", || {
        reading.reader.read(WAIT, |record| {
            let record = record.unwrap();
            assert_eq!((&**record.topic, record.partition, record.offset), ("t", 0, offset));
            let headers: Vec<_> = record.headers().collect();
            if offset == 0 {
                assert_eq!((record.key, record.value), (Some(&b"k"[..]), Some(&b"v"[..])));
                assert_eq!(record.timestamp, Some(1_234));
                let expect: [(&str, Option<&[u8]>); 3] =
                    [("a", Some(b"1")), ("none", None), ("a", Some(b""))];
                assert_eq!(headers, expect.map(|(name, value)| (name.into(), value)));
                assert_eq!(record.headers().count(), 3, "a second look sees the same");
            } else {
                assert_eq!((record.key, record.value), (Some(&b""[..]), None));
                assert_eq!(headers, []);
            }
            offset += 1;
        });
        offset == 2
    });
}

#[test]
fn batches_are_at_most_as_large_as_asked_and_keep_the_order() {
    let cluster = Cluster::start(&[("t", 1)]);
    cluster.fill("t", 0, names(0..1_000));
    let mut reading = Reading::new(&cluster, 64, &[]).assigned(&[0]);
    let mut values = Vec::new();
    until("all values", || {
        let got = reading.round();
        assert!(got.len() <= 64, "{}", got.len());
        values.extend(got);
        values.len() >= 1_000
    });
    let expect: Vec<_> = names(0..1_000).zip(0..).map(|(value, at)| (0, at, value)).collect();
    assert_eq!(values, expect);
}

#[test]
fn the_first_record_ends_the_wait() {
    let cluster = Cluster::start(&[("t", 1)]);
    cluster.fill("t", 0, names(0..1));
    let mut reading = Reading::new(&cluster, 1_000, &[]).assigned(&[0]);
    let mut count = 0;
    let took = timed(|| count = reading.reader.read(DEADLINE, |record| assert!(record.is_ok())));
    assert_eq!(count, 1);
    assert!(took < DEADLINE / 2, "{took:?}");
}

#[test]
fn a_paused_partition_is_silent_and_goes_on_where_it_was() {
    let cluster = Cluster::start(&[("t", 2)]);
    cluster.fill("t", 0, names(0..500));
    let mut reading = Reading::new(&cluster, 10, &[]).assigned(&[0, 1]);
    let mut values = reading.values(10);
    // hundreds wait in the queue now
    reading.consumer.pause(&list(&[0])).unwrap();
    cluster.fill("t", 1, ["other".to_owned()]);
    let meanwhile = reading.values(1);
    assert_eq!(meanwhile, ["other"], "only the partition that is not paused speaks");
    reading.consumer.resume(&list(&[0])).unwrap();
    values.extend(reading.values(490));
    assert_eq!(values, names(0..500).collect::<Vec<_>>());
}

#[test]
fn after_a_seek_the_record_sought_is_next() {
    let cluster = Cluster::start(&[("t", 1)]);
    cluster.fill("t", 0, names(0..500));
    let mut reading = Reading::new(&cluster, 10, &[]).assigned(&[0]);
    assert_eq!(reading.values(10), names(0..10).collect::<Vec<_>>());
    reading.consumer.seek("t", 0, Offset::Offset(300), DEADLINE).unwrap();
    assert_eq!(reading.values(200), names(300..500).collect::<Vec<_>>());
    reading.consumer.seek("t", 0, Offset::Offset(2), DEADLINE).unwrap();
    assert_eq!(reading.values(498), names(2..500).collect::<Vec<_>>());
}

#[test]
fn a_partition_that_was_given_up_says_no_more_and_can_come_back() {
    let cluster = Cluster::start(&[("t", 2)]);
    cluster.fill("t", 0, names(0..500));
    cluster.fill("t", 1, ["first".to_owned()]);
    let mut reading = Reading::new(&cluster, 10, &[]).assigned(&[0]);
    assert_eq!(reading.values(10).len(), 10);
    reading.member.forwarding.unforward("t", 0);
    reading.assign(&[1]);
    assert_eq!(reading.values(1), ["first"], "what waited of partition 0 is left out");
    reading.consumer.incremental_unassign(&list(&[0])).unwrap();

    cluster.fill("t", 1, ["second".to_owned()]);
    assert_eq!(reading.values(1), ["second"]);
    reading.assign(&[0]);
    assert_eq!(reading.values(500), names(0..500).collect::<Vec<_>>());
}

#[test]
fn a_second_member_takes_over_without_a_gap() {
    const EACH: usize = 2_000;
    let cluster = Cluster::start(&[("t", 4)]);
    for partition in 0..4 {
        cluster.fill("t", partition, names(0..EACH));
    }
    let settings = [("client.id", "first")];
    let mut first = Reading::new(&cluster, 20, &settings);
    first.consumer.subscribe(&["t"]).unwrap();
    // what each partition has been read up to, by either
    let mut next: BTreeMap<i32, i64> = BTreeMap::new();
    let mut take = |reading: &mut Reading, is_counted: bool| {
        for (partition, offset, _) in reading.round() {
            let owned = reading.member.owned.lock().unwrap();
            assert!(owned.contains(&partition), "{partition} spoke after it was revoked");
            let next = next.entry(partition).or_default();
            assert!(offset == *next || !is_counted, "{partition}: {offset} after {next}");
            *next = offset + 1;
        }
        next.values().sum::<i64>()
    };
    until("a start", || take(&mut first, true) > 100);

    let mut second = Reading::new(&cluster, 20, &[("client.id", "second")]);
    second.consumer.subscribe(&["t"]).unwrap();
    let is_shared = |first: &Reading, second: &Reading| {
        first.member.owned.lock().unwrap().len() == 2
            && second.member.owned.lock().unwrap().len() == 2
    };
    until("a rebalance", || {
        // nothing was committed, so the second begins at the start
        take(&mut second, false);
        take(&mut first, true);
        is_shared(&first, &second)
    });
    drop(second);
    until("all partitions again", || {
        take(&mut first, false);
        first.member.owned.lock().unwrap().len() == 4
    });
    until("the end", || take(&mut first, false) == i64::try_from(4 * EACH).unwrap());
}

#[test]
fn the_end_of_a_partition_is_an_error_of_its_own() {
    let cluster = Cluster::start(&[("t", 1)]);
    cluster.fill("t", 0, names(0..3));
    let settings = [("enable.partition.eof", "true")];
    let mut reading = Reading::new(&cluster, 10, &settings).assigned(&[0]);
    let mut seen = Vec::new();
    until("the end", || {
        reading.reader.read(WAIT, |record| match record {
            Ok(record) => seen.push(Ok(record.offset)),
            Err(error) => seen.push(Err((error.topic.as_deref() == Some("t"), error.source))),
        });
        seen.len() == 4
    });
    assert_eq!(seen, [Ok(0), Ok(1), Ok(2), Err((true, KafkaError::PartitionEOF(0)))]);
}

#[test]
fn the_ends_of_a_partition_that_is_read_are_known_without_asking() {
    let cluster = Cluster::start(&[("t", 2)]);
    cluster.fill("t", 0, names(0..30));
    let mut reading = Reading::new(&cluster, 10, &[]).assigned(&[0]);
    assert_eq!(watermarks(&*reading.consumer, "t", 0), None, "no answer has come yet");
    assert_eq!(reading.values(30).len(), 30);
    assert_eq!(watermarks(&*reading.consumer, "t", 0), Some((0, 30)));
    assert_eq!(watermarks(&*reading.consumer, "t", 1), None);
    assert_eq!(watermarks(&*reading.consumer, "no\0name", 0), None);
}

#[test]
fn a_waker_ends_a_wait_whenever_it_is_used() {
    let cluster = Cluster::start(&[("t", 1)]);
    let mut reading = Reading::new(&cluster, 10, &[]).assigned(&[0]);
    let waker = reading.member.forwarding.waker();
    waker.wake();
    let took = timed(|| assert_eq!(reading.reader.read(DEADLINE, |_| ()), 0));
    assert!(took < DEADLINE / 2, "before the wait: {took:?}");
    let thread = std::thread::spawn(move || {
        std::thread::park_timeout(Duration::from_millis(200));
        waker.wake();
        waker
    });
    let took = timed(|| assert_eq!(reading.reader.read(DEADLINE, |_| ()), 0));
    assert!(took < DEADLINE / 2, "during the wait: {took:?}");
    let waker = thread.join().unwrap();
    drop(reading);
    waker.wake();
}

#[test]
fn reader_and_consumer_end_in_either_order_with_records_waiting() {
    let cluster = Cluster::start(&[("t", 1)]);
    cluster.fill("t", 0, names(0..5_000));
    for reader_first in [true, false] {
        let mut reading = Reading::new(&cluster, 10, &[]).assigned(&[0]);
        assert_eq!(reading.values(10).len(), 10);
        let Reading { consumer, reader, member } = reading;
        if reader_first {
            drop(reader);
            let closed = member.forwarding.forward("t", 0);
            assert!(matches!(closed, Err(ForwardError::Closed { .. })), "{closed:?}");
            drop(consumer);
        } else {
            drop(consumer);
            drop(reader);
        }
        member.forwarding.unforward("t", 0);
        assert_eq!(format!("{:?}", member.forwarding), "{}");
    }
}

#[test]
fn a_panic_in_the_middle_of_a_batch_frees_the_rest() {
    let cluster = Cluster::start(&[("t", 1)]);
    cluster.fill("t", 0, names(0..100));
    let mut reading = Reading::new(&cluster, 50, &[]).assigned(&[0]);
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        until("a record", || reading.reader.read(WAIT, |_| panic!("on purpose")) > 0);
    }));
    assert!(caught.is_err());
    // a message that is not freed would keep the client from ending
    drop(reading);
}
