use rdkafka::Message as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Headers as _;
use rdkafka::mocking::MockCluster;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use signatures::Verified;
use signatures::source::Event;
use streams::wire::unframe;

use super::*;
use crate::dedupe::{BodyPrint, Claim, Dedupe, EventKey, Fate, Pending};

const SCHEMA_ID: u32 = 258;

fn publisher(bootstrap_servers: &str, deadline: Duration) -> KafkaPublisher {
    let settings = Settings {
        bootstrap_servers: bootstrap_servers.to_owned(),
        schema_id: SCHEMA_ID,
        deadline,
        message_bytes_max: 1_000_000,
    };
    KafkaPublisher::new(settings, Metrics::new().unwrap(), Arc::default()).unwrap()
}

fn record() -> RawRecord {
    let source = r#"
        [sources.up]
        preset = "up"
        path = "/up"
        secrets = [{ id = "a", env = "A" }]
    "#;
    let source = signatures::source::parse("a.toml", source).unwrap().remove(0);
    let verified = Verified { key_id: "a".into(), timestamp: None, signature_headers: vec![] };
    let event = Event {
        id: "e-1".into(),
        kind: "TRANSACTION_CREATED".into(),
        subject: Some("t-1".into()),
        occurred_at: None,
    };
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned();
    RawRecord::new(&source, verified, event, b"\xff body".to_vec(), 1_772_501_000_000, traceparent)
}

fn claimed() -> (Ticket, Pending) {
    let dedupe = Dedupe::new(1000, 10, Metrics::new().unwrap().dedupe);
    let print = BodyPrint::from_hex(&record().value.body_sha256).unwrap();
    match dedupe.claim(EventKey::new("up", "e-1"), print, 0) {
        Claim::New(ticket, pending) => (ticket, pending),
        other => panic!("should be new, is {other:?}"),
    }
}

#[tokio::test]
async fn acknowledged_record_has_its_key_headers_time_and_framed_value() {
    let cluster = MockCluster::new(3).unwrap();
    cluster.create_topic(WEBHOOKS_RECEIVED, 1, 3).unwrap();
    let publisher = publisher(&cluster.bootstrap_servers(), Duration::from_secs(30));
    let (ticket, pending) = claimed();
    publisher.publish(&record(), ticket).unwrap();
    assert_eq!(pending.fate().await, Fate::Accepted);

    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .set("group.id", "test")
        .create()
        .unwrap();
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset(WEBHOOKS_RECEIVED, 0, Offset::Beginning).unwrap();
    consumer.assign(&partitions).unwrap();
    let message = consumer.poll(Duration::from_secs(30)).unwrap().unwrap();
    assert_eq!(message.key(), Some(&b"up:t-1"[..]));
    assert_eq!(message.timestamp().to_millis(), Some(1_772_501_000_000));
    let (id, datum) = unframe(message.payload().unwrap()).unwrap();
    assert_eq!(id, SCHEMA_ID);
    let has_body = datum.windows(6).any(|window| window == b"\xff body");
    assert!(has_body, "the body's bytes should be in the value as they are");
    let headers: Vec<_> = message.headers().unwrap().iter().map(|header| header.key).collect();
    let expect =
        ["bankstream-source", "bankstream-event-id", "bankstream-body-sha256", "traceparent"];
    assert_eq!(headers, expect);
}

#[tokio::test]
async fn record_that_no_broker_takes_fails_before_the_request_gives_up() {
    let publisher = publisher("127.0.0.1:1", Duration::from_millis(500));
    let (ticket, pending) = claimed();
    publisher.publish(&record(), ticket).unwrap();
    assert_eq!(pending.fate().await, Fate::Failed);
    assert_eq!(publisher.metrics.publish_failures.get(), 1);
}

#[tokio::test]
async fn record_still_queued_when_the_publisher_goes_away_fails() {
    let publisher = publisher("127.0.0.1:1", Duration::from_secs(30));
    let (ticket, pending) = claimed();
    publisher.publish(&record(), ticket).unwrap();
    let dropped = tokio::task::spawn_blocking(move || drop(publisher));
    assert_eq!(pending.fate().await, Fate::Failed);
    dropped.await.unwrap();
}

#[tokio::test]
async fn producer_that_met_a_fatal_error_is_replaced_and_the_next_record_is_acknowledged() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(WEBHOOKS_RECEIVED, 1, 1).unwrap();
    // Answered once, to the first producer: there is no way on from it, for that one.
    let refusal = RDKafkaRespErr::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED;
    cluster.request_errors(RDKafkaApiKey::InitProducerId, &[refusal]);
    let publisher = publisher(&cluster.bootstrap_servers(), Duration::from_secs(30));
    let broken = publisher.producer();
    while broken.client().fatal_error().is_none() {
        tokio::task::yield_now().await;
    }
    let (ticket, pending) = claimed();
    match publisher.publish(&record(), ticket) {
        Err(PublishError::Enqueue(error)) => {
            assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::Fatal));
        }
        other => panic!("should not be taken, is {other:?}"),
    }
    assert_eq!(pending.fate().await, Fate::Failed);
    assert!(!Arc::ptr_eq(&broken, &publisher.producer()), "there should be another producer");

    let (ticket, pending) = claimed();
    publisher.publish(&record(), ticket).unwrap();
    assert_eq!(pending.fate().await, Fate::Accepted);
    // Whoever still held the broken one replaces nothing any more.
    let fresh = publisher.producer();
    publisher.replace(&broken);
    assert!(Arc::ptr_eq(&fresh, &publisher.producer()));
}

#[tokio::test]
async fn a_probe_says_whether_anybody_takes_records() {
    let time = Duration::from_secs(30);
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(WEBHOOKS_RECEIVED, 2, 1).unwrap();
    let there = publisher(&cluster.bootstrap_servers(), time);
    assert_eq!(there.probe(time), Ok(()));
    cluster.partition_leader(WEBHOOKS_RECEIVED, 0, None).unwrap();
    assert_eq!(there.probe(time), Ok(()), "one of two has a leader");
    cluster.partition_leader(WEBHOOKS_RECEIVED, 1, None).unwrap();
    assert!(there.probe(time).unwrap_err().contains("has a leader"));
    let nowhere = publisher("127.0.0.1:1", time);
    assert!(nowhere.probe(Duration::from_millis(100)).is_err());
}
