//! What is counted of the keeping of rejected requests.

use prometheus::IntCounter;

use super::{Make, MetricsError};

/// Rejected requests by whether they were kept.
#[derive(Clone, Debug)]
pub struct CaptureMetrics {
    /// Kept.
    pub written: IntCounter,
    /// Not kept: too many a second.
    pub over_rate: IntCounter,
    /// Not kept: the disk is slower than they come.
    pub crowded: IntCounter,
    /// Not kept: the file could not be written.
    pub failed: IntCounter,
}

impl CaptureMetrics {
    pub(super) fn new(make: &Make) -> Result<Self, MetricsError> {
        let captured = make.counters(
            "webhook_captured_total",
            "Rejected requests by whether the capture file has them.",
            &["result"],
        )?;
        let result = |result: &str| captured.with_label_values(&[result]);
        Ok(Self {
            written: result("written"),
            over_rate: result("over-rate"),
            crowded: result("crowded"),
            failed: result("failed"),
        })
    }
}
