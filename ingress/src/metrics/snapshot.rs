//! What is counted of the file that event ids are kept in.

use prometheus::{IntCounterVec, IntGauge};

use super::{Make, MetricsError};

/// Metrics of the snapshots of event ids.
#[derive(Clone, Debug)]
pub struct SnapshotMetrics {
    time: IntGauge,
    results: IntCounterVec,
}

impl SnapshotMetrics {
    pub(super) fn new(make: &Make) -> Result<Self, MetricsError> {
        let metrics = Self {
            time: make.gauge(
                "webhook_dedupe_snapshot_timestamp_seconds",
                "Time up to which the snapshot of event ids is complete; 0 without one.",
            )?,
            results: make.counters(
                "webhook_dedupe_snapshots_total",
                "Snapshots of event ids by what became of them.",
                &["result"],
            )?,
        };
        for result in ["written", "failed", "loaded", "set-aside"] {
            metrics.results.with_label_values(&[result]);
        }
        Ok(metrics)
    }

    /// A snapshot, of the time `at` in milliseconds, is in its place.
    pub fn written(&self, at: i64) {
        self.count("written");
        self.complete(at);
    }

    /// One of the time `at` was read.
    pub fn loaded(&self, at: i64) {
        self.count("loaded");
        self.complete(at);
    }

    /// Up to the time `at` nothing was missing in the last one.
    pub fn complete(&self, at: i64) {
        self.time.set(at.div_euclid(1000));
    }

    /// One could not be written.
    pub fn failed(&self) {
        self.count("failed");
    }

    /// One could not be used.
    pub fn set_aside(&self) {
        self.count("set-aside");
    }

    fn count(&self, result: &str) {
        self.results.with_label_values(&[result]).inc();
    }
}
