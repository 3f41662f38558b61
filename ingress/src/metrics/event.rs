//! What is measured of genuine requests.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, exponential_buckets};
use signatures::Verified;

use super::{Make, MetricsError};

/// Seconds by which a signed time and ours may differ: with limits at what alerts and tolerances ask.
const SKEW_S: [f64; 10] = [0.1, 0.5, 1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 3_600.0];

/// Metrics of genuine requests, of all sources.
#[derive(Clone, Debug)]
pub(super) struct EventMetrics {
    skew: HistogramVec,
    body: HistogramVec,
    publish: HistogramVec,
    keys: IntCounterVec,
}

impl EventMetrics {
    pub(super) fn new(make: &Make) -> Result<Self, MetricsError> {
        Ok(Self {
            skew: make.histograms(
                "webhook_clock_skew_seconds",
                "Difference of a request's signed time and its arrival; also of requests that are refused for it \
                 alone.",
                SKEW_S.to_vec(),
            )?,
            body: make.histograms(
                "webhook_body_bytes",
                "Size of genuine bodies.",
                exponential_buckets(128.0, 4.0, 8)?,
            )?,
            publish: make.histograms(
                "webhook_publish_seconds",
                "Time from handing a record to the producer to its acknowledgement.",
                exponential_buckets(0.000_25, 2.0, 17)?,
            )?,
            keys: make.counters(
                "webhook_key_used_total",
                "Genuine requests by the key that they were signed with.",
                &["source", "key"],
            )?,
        })
    }

    pub(super) fn source(&self, source: &str) -> SourceEvents {
        SourceEvents {
            source: source.to_owned(),
            skew: self.skew.with_label_values(&[source]),
            body: self.body.with_label_values(&[source]),
            publish: self.publish.with_label_values(&[source]),
            keys: self.keys.clone(),
            last_key: Arc::default(),
        }
    }
}

/// The same of one source.
#[derive(Clone, Debug)]
pub struct SourceEvents {
    source: String,
    skew: Histogram,
    body: Histogram,
    publish: Histogram,
    keys: IntCounterVec,
    /// The counter of the key that was used last, which the next request mostly uses too.
    last_key: Arc<RwLock<Option<(String, IntCounter)>>>,
}

impl SourceEvents {
    /// Notes a genuine request, received at a time in milliseconds, with a body of so many bytes.
    pub fn genuine(&self, verified: &Verified, received_at: i64, body_bytes: usize) {
        self.used(&verified.key_id);
        self.body.observe(f64::from(u32::try_from(body_bytes).unwrap_or(u32::MAX)));
        self.skewed(verified, received_at);
    }

    /// Notes by how much a signed time differs from ours, whether or not it is tolerated.
    pub fn skewed(&self, verified: &Verified, received_at: i64) {
        if let Some(signed_at) = verified.timestamp {
            let skew = Duration::from_millis(received_at.abs_diff(signed_at));
            self.skew.observe(skew.as_secs_f64());
        }
    }

    fn used(&self, key: &str) {
        if let Some((last, counter)) =
            &*self.last_key.read().unwrap_or_else(PoisonError::into_inner)
            && last == key
        {
            counter.inc();
            return;
        }
        let counter = self.keys.with_label_values(&[&self.source, key]);
        counter.inc();
        let last = Some((key.to_owned(), counter));
        *self.last_key.write().unwrap_or_else(PoisonError::into_inner) = last;
    }

    /// Notes how long a record took to be acknowledged.
    pub fn published_in(&self, time: Duration) {
        self.publish.observe(time.as_secs_f64());
    }
}
