//! What is counted of the keeping of rejected requests.

use prometheus::IntCounter;

use super::{Make, MetricsError};

/// Rejected requests by whether they were kept.
#[derive(Clone, Debug)]
pub struct CaptureMetrics {
    /// Kept in the file.
    pub written: IntCounter,
    /// Kept on the topic.
    pub published: IntCounter,
    /// Not kept: too many a second, or too much an hour for the topic.
    pub over_rate: IntCounter,
    /// Not kept: disk or registry are slower than they come.
    pub crowded: IntCounter,
    /// Not kept: the file could not be written.
    pub failed: IntCounter,
    /// Not kept: the topic did not take it.
    pub unpublished: IntCounter,
}

impl CaptureMetrics {
    pub(super) fn new(make: &Make) -> Result<Self, MetricsError> {
        let captured = make.counters(
            "webhook_captured_total",
            "Rejected requests by whether the capture file or topic has them.",
            &["result"],
        )?;
        let result = |result: &str| captured.with_label_values(&[result]);
        Ok(Self {
            written: result("written"),
            published: result("published"),
            over_rate: result("over-rate"),
            crowded: result("crowded"),
            failed: result("failed"),
            unpublished: result("unpublished"),
        })
    }
}
