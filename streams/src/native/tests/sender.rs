use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use rdkafka::{
    ClientContext, Message as _,
    error::{KafkaError, RDKafkaErrorCode},
    message::Headers as _,
    producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext},
};

use super::{Cluster, DEADLINE, topic, until};
use crate::native::{ProduceError, Sender, pump};

/// Remembers what was reported: by opaque the partition, or the error.
#[derive(Clone, Default)]
struct Reports(Arc<Mutex<BTreeMap<usize, Result<i32, RDKafkaErrorCode>>>>);

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, opaque: usize) {
        let result = match result {
            Ok(message) => Ok(message.partition()),
            Err((error, _)) => Err(error.rdkafka_error_code().unwrap()),
        };
        self.0.lock().unwrap().insert(opaque, result);
    }
}

fn producer(cluster: &Cluster, settings: &[(&str, &str)]) -> (Arc<BaseProducer<Reports>>, Reports) {
    let reports = Reports::default();
    let mut config = cluster.config();
    config.set("partitioner", "murmur2_random");
    for (key, value) in settings {
        config.set(*key, *value);
    }
    (Arc::new(config.create_with_context(reports.clone()).unwrap()), reports)
}

const NO_HEADERS: [(&str, &[u8]); 0] = [];

#[test]
fn a_key_goes_where_the_safe_call_sends_it_and_the_opaque_comes_back() {
    let cluster = Cluster::start(&[("t", 7)]);
    let (producer, reports) = producer(&cluster, &[]);
    let mut sender = Sender::new(&producer);
    let name = topic("t");
    for number in 0..200_usize {
        let key = format!("key {number}");
        let record = BaseRecord::with_opaque_to("t", number).key(&key).payload("v");
        producer.send(record).map_err(|(error, _)| error).unwrap();
        let key = Some(key.as_bytes());
        sender.produce(&name, None, key, Some(b"v"), None, NO_HEADERS, 1_000 + number).unwrap();
    }
    producer.flush(DEADLINE).unwrap();

    let reports = reports.0.lock().unwrap();
    assert_eq!(reports.len(), 400);
    for number in 0..200 {
        assert_eq!(reports.get(&number), reports.get(&(1_000 + number)), "key {number}");
    }
    let used: BTreeSet<i32> = reports.values().map(|result| result.unwrap()).collect();
    assert_eq!(used.len(), 7, "every partition is used: {used:?}");
}

#[test]
fn every_part_of_a_record_arrives_as_it_was() {
    let cluster = Cluster::start(&[("t", 2)]);
    let (producer, _) = producer(&cluster, &[]);
    let mut sender = Sender::new(&producer);
    let name = topic("t");
    let headers: [(&str, &[u8]); 3] = [("a", b"1"), ("ä", b""), ("a", b"\0\xff")];
    sender.produce(&name, Some(1), Some(b"k"), Some(b"v"), Some(1_234), headers, 0).unwrap();
    sender.produce(&name, Some(1), Some(b""), None, Some(5), NO_HEADERS, 0).unwrap();
    sender.produce(&name, Some(1), None, Some(b""), Some(6), NO_HEADERS, 0).unwrap();
    producer.flush(DEADLINE).unwrap();

    let consumer: rdkafka::consumer::BaseConsumer =
        cluster.config().set("group.id", "g").create().unwrap();
    let mut from = rdkafka::TopicPartitionList::new();
    from.add_partition_offset("t", 1, rdkafka::Offset::Beginning).unwrap();
    rdkafka::consumer::Consumer::assign(&consumer, &from).unwrap();
    let mut found = Vec::new();
    until("three records", || {
        if let Some(message) = consumer.poll(std::time::Duration::from_millis(50)) {
            found.push(message.unwrap().detach());
        }
        found.len() == 3
    });
    let [first, second, third] = found.try_into().unwrap();
    assert_eq!((first.key(), first.payload()), (Some(&b"k"[..]), Some(&b"v"[..])));
    assert_eq!(first.timestamp().to_millis(), Some(1_234));
    let got: Vec<_> =
        first.headers().unwrap().iter().map(|header| (header.key, header.value.unwrap())).collect();
    assert_eq!(got, headers);
    assert_eq!((second.key(), second.payload()), (Some(&b""[..]), None));
    assert!(second.headers().is_none());
    assert_eq!((third.key(), third.payload()), (None, Some(&b""[..])));
}

#[test]
fn a_full_queue_is_told_from_a_refusal() {
    let cluster = Cluster::start(&[("t", 1)]);
    let settings = [("queue.buffering.max.messages", "3"), ("linger.ms", "60000")];
    let (producer, reports) = producer(&cluster, &settings);
    let mut sender = Sender::new(&producer);
    let name = topic("t");
    let header: [(&str, &[u8]); 1] = [("h", b"x")];
    for number in 0..3 {
        sender.produce(&name, Some(0), None, Some(b"v"), None, header, number).unwrap();
    }
    let full = sender.produce(&name, Some(0), None, Some(b"v"), None, header, 3);
    assert!(matches!(full, Err(ProduceError::QueueFull)), "{full:?}");
    producer.flush(DEADLINE).unwrap();
    pump(&producer);
    assert_eq!(reports.0.lock().unwrap().len(), 3, "the fourth is not reported: it was not taken");
}

#[test]
fn what_can_never_be_delivered_is_refused_with_its_reason() {
    let cluster = Cluster::start(&[("t", 1)]);
    let (producer, _) = producer(&cluster, &[("message.max.bytes", "1000")]);
    let mut sender = Sender::new(&producer);
    let large = vec![7; 5_000];
    let header: [(&str, &[u8]); 1] = [("h", b"x")];
    let refused = sender.produce(&topic("t"), None, None, Some(&large), None, header, 0);
    let Err(ProduceError::Refused(error)) = refused else { panic!("{refused:?}") };
    assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::MessageSizeTooLarge));
    let refused = sender.produce(&topic("a\0b"), None, None, None, None, NO_HEADERS, 0);
    assert!(matches!(refused, Err(ProduceError::Refused(KafkaError::Nul(_)))), "{refused:?}");
    let long = "x".repeat(600);
    let refused = sender.produce(&topic(&long), None, None, None, None, NO_HEADERS, 0);
    assert!(matches!(refused, Err(ProduceError::Refused(_))), "{refused:?}");
}

#[test]
fn many_topics_are_kept_apart_and_one_name_is_one_topic() {
    let names: Vec<String> = (0..20).map(|number| format!("t{number}")).collect();
    let topics: Vec<(&str, i32)> = names.iter().map(|name| (name.as_str(), 1)).collect();
    let cluster = Cluster::start(&topics);
    let (producer, reports) = producer(&cluster, &[]);
    let mut sender = Sender::new(&producer);
    for _ in 0..3 {
        for name in &names {
            let value = Some(name.as_bytes());
            // an address of its own each time
            sender.produce(&topic(name), Some(0), None, value, None, NO_HEADERS, 0).unwrap();
        }
    }
    let shown = format!("{sender:?}");
    assert_eq!(names.iter().filter(|name| shown.contains(&format!("\"{name}\""))).count(), 20);
    producer.flush(DEADLINE).unwrap();
    assert_eq!(reports.0.lock().unwrap().get(&0), Some(&Ok(0)));
    drop(producer);
    // the sender has the last hold: topics go before the client
    drop(sender);
}
