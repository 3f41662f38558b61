//! What is counted about TLS.

use prometheus::{IntCounter, IntGauge};

use super::{Make, MetricsError};

/// Metrics of the listener's TLS.
#[derive(Clone, Debug)]
pub struct TlsMetrics {
    /// Changed certificates that were taken.
    pub reloaded: IntCounter,
    /// Changed certificates that were not.
    pub reload_refused: IntCounter,
    /// When the certificate in use ends, seconds since 1970; 0 without one.
    pub not_after: IntGauge,
    /// Handshakes that failed: another protocol or version, a client that does not trust us.
    pub refused: IntCounter,
    /// Handshakes that took too long.
    pub timed_out: IntCounter,
}

impl TlsMetrics {
    pub(super) fn new(make: &Make) -> Result<Self, MetricsError> {
        let reloads = make.counters(
            "webhook_tls_reloads_total",
            "Changes of the certificate's files by result.",
            &["result"],
        )?;
        let failures = make.counters(
            "webhook_tls_handshake_failures_total",
            "Handshakes that came to nothing, by reason.",
            &["reason"],
        )?;
        Ok(Self {
            reloaded: reloads.with_label_values(&["reloaded"]),
            reload_refused: reloads.with_label_values(&["refused"]),
            not_after: make.gauge(
                "webhook_tls_certificate_not_after_seconds",
                "When the certificate in use ends, seconds since 1970; 0 without TLS.",
            )?,
            refused: failures.with_label_values(&["refused"]),
            timed_out: failures.with_label_values(&["timeout"]),
        })
    }
}
