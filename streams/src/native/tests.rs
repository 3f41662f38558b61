//! What can be seen with the library's own pretended broker; the tests on a real one have the rest.

mod reader;
mod sender;
mod transaction;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig,
    mocking::MockCluster,
    producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer as _},
};

/// Longest wait for something that comes at once on a machine at rest.
const DEADLINE: Duration = Duration::from_secs(30);

struct Cluster(MockCluster<'static, DefaultProducerContext>);

impl Cluster {
    /// One broker with these topics.
    fn start(topics: &[(&str, i32)]) -> Self {
        let mock = MockCluster::new(1).unwrap();
        for (topic, partitions) in topics {
            mock.create_topic(topic, *partitions, 1).unwrap();
        }
        Self(mock)
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.0.bootstrap_servers());
        config
    }

    /// Writes `values` to a partition, one after the other.
    fn fill(&self, topic: &str, partition: i32, values: impl IntoIterator<Item = String>) {
        let producer: BaseProducer = self.config().create().unwrap();
        for value in values {
            let record = BaseRecord::<(), _>::to(topic).partition(partition).payload(&value);
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(DEADLINE).unwrap();
    }
}

fn names(range: std::ops::Range<usize>) -> impl Iterator<Item = String> {
    range.map(|number| format!("{number:05}"))
}

#[expect(clippy::disallowed_methods, reason = "these tests are about the time that calls take")]
fn now() -> Instant {
    Instant::now()
}

/// How long a call took.
fn timed(call: impl FnOnce()) -> Duration {
    let start = now();
    call();
    start.elapsed()
}

/// Calls, which may wait a little, until the answer is yes; fails after the deadline.
#[track_caller]
fn until(what: &str, mut is_done: impl FnMut() -> bool) {
    let start = now();
    while !is_done() {
        assert!(start.elapsed() < DEADLINE, "waited in vain for {what}");
    }
}

fn topic(name: &str) -> Arc<str> {
    Arc::from(name)
}
