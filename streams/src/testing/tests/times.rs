//! The time of an output.

use super::{Order, OrderError, order};
use crate::{Context, Effects, Processor, Record, Sink, Topology, testing::TestDriver};

struct Both {
    sent: Sink<String, Order>,
    kept: Sink<String, Order>,
}

impl Processor for Both {
    type Key = String;
    type Value = Order;
    type Error = OrderError;

    fn process(
        &mut self,
        ctx: &mut Context<'_>,
        record: &Record<String, Order>,
    ) -> Result<(), OrderError> {
        let key = ctx.partition().to_string();
        ctx.forward(&self.sent, &key, &record.value)?;
        Ok(ctx.forward_at(&self.kept, &key, &record.value, record.timestamp)?)
    }
}

#[test]
fn an_output_has_the_time_of_its_sending_or_the_one_it_is_given() {
    let mut builder = Topology::builder("times");
    let mut sub = builder.sub_topology("both", Effects::None);
    let source = sub.source("in", "in");
    let (sent, kept) = (sub.sink("sent", "sent"), sub.sink("kept", "kept"));
    let sinks = [sent.id(), kept.id()];
    let supplier = move || Both { sent: sent.clone(), kept: kept.clone() };
    sub.processor("both", &source, supplier).sinks(sinks);
    let mut driver = TestDriver::new(builder.build().unwrap()).unwrap();
    let (now, event) = (driver.now(), driver.now() - 86_400_000);
    driver.pipe_at("in", &"k".to_owned(), &order("a"), event).unwrap();
    let times = |topic| -> Vec<_> {
        let records = driver.records(topic).iter();
        records.map(|record| (record.timestamp, record.key.clone())).collect()
    };
    assert_eq!(times("sent"), [(now, Some("0".into()))]);
    assert_eq!(times("kept"), [(event, Some("0".into()))]);
}
