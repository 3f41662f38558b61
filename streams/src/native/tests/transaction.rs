use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rdkafka::{
    ClientContext,
    error::RDKafkaErrorCode,
    producer::{BaseProducer, DeliveryResult, Producer as _, ProducerContext},
    types::{RDKafkaApiKey, RDKafkaRespErr},
};

use super::{Cluster, DEADLINE, timed, topic, until};
use crate::native::{Kind, Sender, abort, begin, commit_transaction, dispatch, init};

/// Counts failed deliveries.
#[derive(Clone, Default)]
struct Failed(Arc<AtomicUsize>);

impl ClientContext for Failed {}

impl ProducerContext for Failed {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, _: usize) {
        assert!(result.is_err(), "successes are not reported");
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

struct Writer {
    producer: Arc<BaseProducer<Failed>>,
    sender: Sender<Failed>,
    failed: Failed,
}

impl Writer {
    fn new(cluster: &Cluster, settings: &[(&str, &str)]) -> Self {
        let failed = Failed::default();
        let mut config = cluster.config();
        config.set("transactional.id", "writer").set("delivery.report.only.error", "true");
        for (key, value) in settings {
            config.set(*key, *value);
        }
        let producer = Arc::new(config.create_with_context(failed.clone()).unwrap());
        init(&producer, DEADLINE).unwrap();
        Self { sender: Sender::new(&producer), producer, failed }
    }

    fn send(&mut self, count: usize) {
        let name = topic("t");
        let none: [(&str, &[u8]); 0] = [];
        for number in 0..count {
            self.sender.produce(&name, Some(0), None, Some(b"v"), None, none, number).unwrap();
        }
    }
}

#[test]
fn a_commit_with_records_under_way_does_not_stall() {
    let cluster = Cluster::start(&[("t", 1)]);
    let mut writer = Writer::new(&cluster, &[("linger.ms", "0")]);
    let mut shortest = [Duration::MAX; 2];
    // the shortest of some: a busy machine only adds
    for _ in 0..5 {
        let [ours, stock] = &mut shortest;
        begin(&writer.producer).unwrap();
        writer.send(10);
        *ours = (*ours).min(timed(|| commit_transaction(&writer.producer, DEADLINE).unwrap()));
        begin(&writer.producer).unwrap();
        writer.send(10);
        *stock = (*stock).min(timed(|| writer.producer.commit_transaction(DEADLINE).unwrap()));
    }
    let [ours, stock] = shortest;
    assert!(stock >= Duration::from_millis(100), "the stall has gone: {stock:?}");
    assert!(ours * 2 < stock, "{ours:?} is not well below {stock:?}");
}

#[test]
fn dispatched_records_leave_long_before_they_have_company() {
    let cluster = Cluster::start(&[("t", 1)]);
    let mut writer = Writer::new(&cluster, &[("linger.ms", "30000")]);
    begin(&writer.producer).unwrap();
    writer.send(10);
    assert_eq!(writer.producer.in_flight_count(), 10, "they wait for company");
    let took = timed(|| {
        until("every record to be acknowledged", || {
            dispatch(&writer.producer);
            writer.producer.in_flight_count() == 0
        });
    });
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!(writer.failed.0.load(Ordering::SeqCst), 0);
    commit_transaction(&writer.producer, DEADLINE).unwrap();
}

#[test]
fn a_failed_record_makes_the_commit_abort_and_the_producer_goes_on() {
    let cluster = Cluster::start(&[("t", 1)]);
    let mut writer = Writer::new(&cluster, &[("linger.ms", "0")]);
    begin(&writer.producer).unwrap();
    cluster.0.request_errors(
        RDKafkaApiKey::Produce,
        &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED],
    );
    writer.send(1);
    let error = commit_transaction(&writer.producer, DEADLINE).unwrap_err();
    assert_eq!(error.kind, Kind::Abort, "{error}");
    assert_eq!(writer.failed.0.load(Ordering::SeqCst), 1, "the report was handed out");
    abort(&writer.producer, DEADLINE).unwrap();
    begin(&writer.producer).unwrap();
}

#[test]
fn an_abort_with_records_that_never_left_is_quick() {
    let cluster = Cluster::start(&[("t", 1)]);
    let mut writer = Writer::new(&cluster, &[("linger.ms", "30000")]);
    begin(&writer.producer).unwrap();
    writer.send(1_000);
    let took = timed(|| abort(&writer.producer, DEADLINE).unwrap());
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(writer.failed.0.load(Ordering::SeqCst), 1_000, "each is reported as purged");
    begin(&writer.producer).unwrap();
    commit_transaction(&writer.producer, DEADLINE).unwrap();
}

#[test]
fn without_a_broker_the_same_call_can_be_made_again() {
    let cluster = Cluster::start(&[("t", 1)]);
    let mut writer = Writer::new(&cluster, &[("linger.ms", "0")]);
    begin(&writer.producer).unwrap();
    cluster.0.broker_down(1).unwrap();
    writer.send(3);
    let error = commit_transaction(&writer.producer, Duration::from_millis(600)).unwrap_err();
    assert_eq!(error.kind, Kind::Retriable, "{error}");
    assert_eq!(error.code, RDKafkaErrorCode::OperationTimedOut, "{error}");
    cluster.0.broker_up(1).unwrap();
    commit_transaction(&writer.producer, DEADLINE).unwrap();
    assert_eq!(writer.failed.0.load(Ordering::SeqCst), 0);
}

#[test]
fn a_call_out_of_turn_is_a_fault_of_the_program() {
    let cluster = Cluster::start(&[("t", 1)]);
    let writer = Writer::new(&cluster, &[]);
    let error = commit_transaction(&writer.producer, DEADLINE).unwrap_err();
    assert_eq!((error.kind, error.code), (Kind::Other, RDKafkaErrorCode::State));
    begin(&writer.producer).unwrap();
    let error = begin(&writer.producer).unwrap_err();
    assert_eq!(error.kind, Kind::Other, "{error}");
}
