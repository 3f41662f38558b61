use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer as _};
use rdkafka::{Offset, TopicPartitionList};

use super::{Admin, GroupOffset, REQUEST_TIMEOUT, Watermarks, config};

const TOPIC: &str = "moves";

/// A mock cluster with a topic of two partitions; three records in partition 1, none in 0.
fn cluster() -> (MockCluster<'static, DefaultProducerContext>, Admin) {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(TOPIC, 2, 1).unwrap();
    let servers = cluster.bootstrap_servers();
    let producer: BaseProducer = config(&servers).create().unwrap();
    for key in ["a", "b", "c"] {
        let record = BaseRecord::to(TOPIC).partition(1).key(key).payload("x");
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(REQUEST_TIMEOUT).unwrap();
    (cluster, Admin::new(&servers).unwrap())
}

fn commit(admin: &Admin, group: &str, partition: i32, offset: i64) {
    let consumer: BaseConsumer = config(admin.servers()).set("group.id", group).create().unwrap();
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(TOPIC, partition, Offset::Offset(offset)).unwrap();
    consumer.commit(&offsets, CommitMode::Sync).unwrap();
}

#[tokio::test]
async fn topics_are_told_with_their_partitions_and_copies() {
    let (_cluster, admin) = cluster();
    let topics = admin.topics().await.unwrap();
    assert_eq!((topics[TOPIC].partitions, topics[TOPIC].replication), (2, 1));
    assert_eq!(admin.settings(&[]).await.unwrap().len(), 0);
}

#[tokio::test]
async fn watermarks_are_told_by_partition() {
    let (_cluster, admin) = cluster();
    let marks = admin.watermarks(TOPIC, 2).await.unwrap();
    assert_eq!(marks[&0], Watermarks { low: 0, high: 0 });
    assert_eq!(marks[&1], Watermarks { low: 0, high: 3 });
}

#[tokio::test]
async fn a_group_is_where_it_committed_and_nowhere_where_it_did_not() {
    let (_cluster, admin) = cluster();
    commit(&admin, "dropper", 1, 2);
    let offsets = admin.group_offsets("dropper", &[(TOPIC.to_owned(), 2)]).await.unwrap();
    let offset = |partition, committed, high| GroupOffset {
        topic: TOPIC.to_owned(),
        partition,
        committed,
        watermarks: Watermarks { low: 0, high },
    };
    assert_eq!(offsets, [offset(0, None, 0), offset(1, Some(2), 3)]);
    assert!(admin.group_offsets("dropper", &[]).await.unwrap().is_empty());
}
