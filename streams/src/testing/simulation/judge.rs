//! What must be true at the end of a story.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    PARTITIONS, Story,
    app::{ENRICHED, INPUT, Payment, SUMMED, TICKS, TOLD},
};
use crate::{
    key::Key as _,
    record::RawRecord,
    topology_file::Guarantee,
    wire::{Decoder, keep},
};

impl Story {
    fn payments(&self, topic: &str) -> BTreeMap<String, Vec<Payment>> {
        let schema = keep(<Payment as apache_avro::AvroSchema>::get_schema());
        let mut decoder = Decoder::new(Arc::new(self.schemas.clone()), schema);
        let mut found: BTreeMap<String, Vec<Payment>> = BTreeMap::new();
        for partition in 0..PARTITIONS {
            for record in self.broker.records(topic, partition) {
                let key = String::decode(record.key.as_ref().unwrap()).unwrap();
                let payment = decoder.decode(record.value.as_ref().unwrap()).unwrap();
                found.entry(key).or_default().push(payment);
            }
        }
        found
    }

    /// What is wrong at the end of a story, if anything.
    pub(super) fn judge(&self) -> Result<(), String> {
        let inputs = self.payments(INPUT);
        for topic in [SUMMED, ENRICHED, TOLD] {
            let outputs = self.payments(topic);
            for (key, sent) in &inputs {
                let expected = first_sights(sent);
                let outputs = outputs.get(key).map_or(&[][..], Vec::as_slice);
                let is_once = self.guarantee == Guarantee::ExactlyOnce && topic != TOLD;
                let found = if is_once {
                    outputs.iter().map(|payment| payment.id.as_str()).collect()
                } else {
                    first_sights(outputs)
                };
                if expected != found {
                    return Err(format!(
                        "{topic} of {key}: expected {expected:?}, found {found:?}"
                    ));
                }
            }
        }
        for (key, sent) in &inputs {
            let ids = first_sights(sent);
            let sum: i64 =
                ids.iter().map(|id| sent.iter().find(|p| p.id == *id).unwrap().amount).sum();
            let state = self.total(key);
            if state != Some(sum) {
                return Err(format!("total of {key}: expected {sum}, found {state:?}"));
            }
        }
        if self.guarantee == Guarantee::ExactlyOnce {
            self.judge_ticks()?;
        }
        let performed = self.world.lock().unwrap().performed.len();
        let inputs = self.size.inputs;
        if performed == inputs { Ok(()) } else { Err(format!("{performed} effects of {inputs}")) }
    }

    /// Every committed punctuation went on from the one before.
    fn judge_ticks(&self) -> Result<(), String> {
        for partition in 0..PARTITIONS {
            let records = self.broker.records(TICKS, partition).iter();
            let value = |record: &RawRecord| {
                serde_json::from_slice(record.value.as_deref().unwrap_or_default()).ok()
            };
            let ticks: Vec<Option<i64>> = records.map(value).collect();
            let expected: Vec<Option<i64>> = (1..).map(Some).take(ticks.len()).collect();
            if ticks != expected {
                return Err(format!(
                    "ticks of {partition}: expected {expected:?}, found {ticks:?}"
                ));
            }
        }
        Ok(())
    }

    fn total(&self, key: &str) -> Option<i64> {
        let index = self.stores.totals.index;
        self.running
            .iter()
            .filter(|running| running.sub == 0)
            .filter_map(|running| running.task.state(index)?.key_value()?.get(key.as_bytes()))
            .find_map(|bytes| serde_json::from_slice(bytes).ok())
    }
}

/// Ids in the order of their first appearance.
fn first_sights(payments: &[Payment]) -> Vec<&str> {
    let mut seen = Vec::new();
    for payment in payments {
        if !seen.contains(&payment.id.as_str()) {
            seen.push(payment.id.as_str());
        }
    }
    seen
}
