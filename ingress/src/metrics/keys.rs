//! What is counted of keys that are fetched, and of the ends of all keys.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::{Make, MetricsError};

/// Metrics of keys, of all sources.
#[derive(Clone, Debug)]
pub(super) struct KeyMetrics {
    refreshes: IntCounterVec,
    age: IntGaugeVec,
    unknown: IntCounterVec,
    ends: IntGaugeVec,
}

impl KeyMetrics {
    pub(super) fn new(make: &Make) -> Result<Self, MetricsError> {
        Ok(Self {
            refreshes: make.counters(
                "webhook_jwks_refreshes_total",
                "Fetches of a provider's keys by result.",
                &["source", "result"],
            )?,
            age: make.gauges(
                "webhook_jwks_age_seconds",
                "Time since the oldest fetched keys in use were fetched.",
            )?,
            unknown: make.counters(
                "webhook_unknown_keys_total",
                "Requests that fetched keys do not explain: forged, or of a key too new.",
                &["source"],
            )?,
            ends: make.gauges_of(
                "webhook_key_not_after_timestamp_seconds",
                "When an active key ends, seconds since 1970, for keys that do.",
                &["source", "key"],
            )?,
        })
    }

    pub(super) fn source(&self, source: &str) -> SourceKeys {
        let refreshes = |result: &str| self.refreshes.with_label_values(&[source, result]);
        SourceKeys {
            source: source.to_owned(),
            ok: refreshes("ok"),
            failed: refreshes("failed"),
            refused: refreshes("refused"),
            age: self.age.with_label_values(&[source]),
            unknown: self.unknown.with_label_values(&[source]),
            ends: self.ends.clone(),
        }
    }
}

/// The same of one source.
#[derive(Clone, Debug)]
pub struct SourceKeys {
    source: String,
    /// Fetches that brought keys.
    pub ok: IntCounter,
    /// Fetches without an answer.
    pub failed: IntCounter,
    /// Fetches whose answer cannot be used.
    pub refused: IntCounter,
    /// Seconds since the oldest fetched keys were fetched.
    pub age: IntGauge,
    /// Requests whose key nobody knows.
    pub unknown: IntCounter,
    ends: IntGaugeVec,
}

impl SourceKeys {
    /// Notes the active keys and their ends in milliseconds; those of `before` that are gone are
    /// shown no longer.
    pub fn active<'a>(
        &self,
        before: impl Iterator<Item = (&'a str, Option<i64>)>,
        now: impl Iterator<Item = (&'a str, Option<i64>)>,
    ) {
        for (key, end) in before {
            if end.is_some() && self.ends.remove_label_values(&[&self.source, key]).is_err() {
                tracing::debug!(source = self.source, key, "the key had no end to forget");
            }
        }
        for (key, end) in now {
            if let Some(end) = end {
                self.ends.with_label_values(&[&self.source, key]).set(end.div_euclid(1000));
            }
        }
    }
}
