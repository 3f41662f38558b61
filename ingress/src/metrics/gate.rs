//! What is counted about requests that did not get as far as a door, or past it.

use prometheus::IntCounter;

use super::{Make, MetricsError};

/// Requests that were turned away, by the limit that did it.
#[derive(Clone, Debug)]
pub struct GateMetrics {
    /// Too many from one address.
    pub address: IntCounter,
    /// Too many from one address that were not genuine.
    pub rejected: IntCounter,
    /// Too many for one source.
    pub source: IntCounter,
    /// From an address that the source does not take webhooks from.
    pub not_allowed: IntCounter,
}

impl GateMetrics {
    pub(super) fn new(make: &Make) -> Result<Self, MetricsError> {
        let limited =
            make.counters("webhook_limited_total", "Requests turned away by a limit.", &["limit"])?;
        let limit = |limit: &str| limited.with_label_values(&[limit]);
        Ok(Self {
            address: limit("address"),
            rejected: limit("rejected"),
            source: limit("source"),
            not_allowed: limit("not-allowed"),
        })
    }
}
