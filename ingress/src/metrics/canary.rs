//! What is counted of canaries, apart from everything else: they are no events.

use prometheus::{IntCounter, IntCounterVec, IntGaugeVec};

use super::{Make, MetricsError};
use crate::answer::Answer;

/// Metrics of canaries, of all sources.
#[derive(Clone, Debug)]
pub(super) struct CanaryMetrics {
    requests: IntCounterVec,
    last_success: IntGaugeVec,
}

impl CanaryMetrics {
    pub(super) fn new(make: &Make) -> Result<Self, MetricsError> {
        Ok(Self {
            requests: make.counters(
                "webhook_canary_requests_total",
                "Genuine canaries by result.",
                &["source", "result"],
            )?,
            last_success: make.gauges(
                "webhook_canary_last_success_timestamp_seconds",
                "When the last canary was accepted; not there before the first one.",
            )?,
        })
    }

    pub(super) fn source(&self, source: &str) -> SourceCanary {
        let result = |result: &str| self.requests.with_label_values(&[source, result]);
        SourceCanary {
            source: source.to_owned(),
            accepted: result("accepted"),
            duplicate: result("duplicate"),
            error: result("error"),
            last_success: self.last_success.clone(),
        }
    }
}

/// The same of one source.
#[derive(Clone, Debug)]
pub struct SourceCanary {
    source: String,
    accepted: IntCounter,
    duplicate: IntCounter,
    error: IntCounter,
    last_success: IntGaugeVec,
}

impl SourceCanary {
    /// Counts the answer to a canary received at a time in milliseconds. One that is not genuine is
    /// not known to be a canary: it counts as any other rejection, and as silence here.
    pub fn count(&self, answer: &Answer, received_at: i64) {
        match answer {
            Answer::Canary(_) => {
                self.accepted.inc();
                let last = self.last_success.with_label_values(&[&self.source]);
                last.set(received_at.div_euclid(1000));
            }
            Answer::Replayed(_) => self.duplicate.inc(),
            _ => self.error.inc(),
        }
    }
}
