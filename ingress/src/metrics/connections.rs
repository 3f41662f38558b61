//! What is counted about connections, before there is a request.

use prometheus::{IntCounter, IntGauge};

use super::{Make, MetricsError};

/// Metrics of connections.
#[derive(Clone, Debug)]
pub struct ConnectionMetrics {
    /// Open now.
    pub open: IntGauge,
    /// Closed unanswered, because there were too many.
    pub refused: IntCounter,
    /// Closed because they kept us waiting.
    pub timed_out: IntCounter,
    /// Requests whose head contradicted itself.
    pub malformed: IntCounter,
    /// Connections that the system could not give us.
    pub accept_failures: IntCounter,
}

impl ConnectionMetrics {
    pub(super) fn new(make: &Make) -> Result<Self, MetricsError> {
        Ok(Self {
            open: make.gauge("webhook_connections", "Connections open now.")?,
            refused: make.counter(
                "webhook_connections_refused_total",
                "Connections closed unanswered because there were too many.",
            )?,
            timed_out: make.counter(
                "webhook_connections_timed_out_total",
                "Connections closed because they sent nothing, or too slowly.",
            )?,
            malformed: make.counter(
                "webhook_malformed_total",
                "Requests refused because their head contradicts itself or lacks what it must have.",
            )?,
            accept_failures: make.counter(
                "webhook_accept_failures_total",
                "Connections that the system could not give us.",
            )?,
        })
    }
}
