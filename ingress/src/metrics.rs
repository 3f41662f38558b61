//! What is counted and measured.

mod canary;
mod capture;
mod connections;
mod event;
mod gate;
mod keys;
mod snapshot;
mod tls;

use std::time::Duration;

use prometheus::{
    Encoder as _, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder, exponential_buckets,
};
use signatures::Reason;

use self::canary::CanaryMetrics;
pub use self::canary::SourceCanary;
pub use self::capture::CaptureMetrics;
pub use self::connections::ConnectionMetrics;
use self::event::EventMetrics;
pub use self::event::SourceEvents;
pub use self::gate::GateMetrics;
use self::keys::KeyMetrics;
pub use self::keys::SourceKeys;
pub use self::snapshot::SnapshotMetrics;
pub use self::tls::TlsMetrics;
use crate::answer::Answer;

/// Why the metrics cannot be made: two of one name.
pub type MetricsError = prometheus::Error;

/// Beside the reasons of rejections: the request's key may be a new one, and it is told to come again.
pub(crate) const KEY_HELD: &str = "unknown-key-held";

/// All metrics of the ingress.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    rejected: IntCounterVec,
    incomplete: IntCounterVec,
    last_event: IntGaugeVec,
    verify: HistogramVec,
    ack: HistogramVec,
    events: EventMetrics,
    keys: KeyMetrics,
    canary: CanaryMetrics,
    /// What the keeping of rejected requests counts.
    pub capture: CaptureMetrics,
    /// Requests for paths that nobody declared.
    pub unknown_paths: IntCounter,
    /// Records that Kafka did not acknowledge.
    pub publish_failures: IntCounter,
    /// Reloads of secrets that did not work.
    pub reload_failures: IntCounter,
    /// What the memory of event ids counts.
    pub dedupe: DedupeMetrics,
    /// What connections count.
    pub connections: ConnectionMetrics,
    /// What limits on senders count.
    pub gate: GateMetrics,
    /// What TLS counts.
    pub tls: TlsMetrics,
}

/// Metrics of the memory of event ids.
#[derive(Clone, Debug)]
pub struct DedupeMetrics {
    /// Ids remembered.
    pub ids: IntGauge,
    /// Ids forgotten before their time because the memory was full.
    pub evicted: IntCounter,
    /// Events that were on the raw topic already when their record was read.
    pub raw_duplicates: IntCounter,
    /// Records of the raw topic that could not be read.
    pub unreadable: IntCounter,
    /// What the file of ids counts.
    pub snapshots: SnapshotMetrics,
}

impl Metrics {
    /// All metrics, registered.
    pub fn new() -> Result<Self, MetricsError> {
        let make = Make(Registry::new());
        let from_10_us = exponential_buckets(0.000_01, 2.0, 12)?;
        let from_half_ms = exponential_buckets(0.000_5, 2.0, 16)?;
        Ok(Self {
            requests: make.counters(
                "webhook_requests_total",
                "Requests by result.",
                &["source", "result"],
            )?,
            rejected: make.counters(
                "webhook_rejected_total",
                "Rejected requests by reason.",
                &["source", "reason"],
            )?,
            incomplete: make.counters(
                "webhook_incomplete_total",
                "Requests whose body did not arrive.",
                &["source"],
            )?,
            last_event: make.gauges(
                "webhook_last_event_timestamp_seconds",
                "When the last event was accepted.",
            )?,
            verify: make.histograms(
                "webhook_verify_seconds",
                "Time to verify and parse.",
                from_10_us,
            )?,
            ack: make.histograms(
                "webhook_ack_seconds",
                "Time from the body's end to the answer of accepted events.",
                from_half_ms,
            )?,
            unknown_paths: make.counter(
                "webhook_unknown_path_total",
                "Requests for paths that nobody declared.",
            )?,
            publish_failures: make.counter(
                "webhook_publish_failures_total",
                "Records that Kafka did not acknowledge.",
            )?,
            reload_failures: make.counter(
                "webhook_secret_reload_failures_total",
                "Reloads of secrets that did not work.",
            )?,
            dedupe: DedupeMetrics {
                ids: make.gauge("webhook_dedupe_ids", "Event ids remembered.")?,
                evicted: make.counter(
                    "webhook_dedupe_evicted_total",
                    "Event ids forgotten before their time.",
                )?,
                raw_duplicates: make.counter(
                    "webhook_raw_duplicates_total",
                    "Events seen on the raw topic more than once.",
                )?,
                unreadable: make.counter(
                    "webhook_raw_unreadable_total",
                    "Records of the raw topic that could not be read.",
                )?,
                snapshots: SnapshotMetrics::new(&make)?,
            },
            connections: ConnectionMetrics::new(&make)?,
            gate: GateMetrics::new(&make)?,
            tls: TlsMetrics::new(&make)?,
            events: EventMetrics::new(&make)?,
            keys: KeyMetrics::new(&make)?,
            canary: CanaryMetrics::new(&make)?,
            capture: CaptureMetrics::new(&make)?,
            registry: make.0,
        })
    }

    /// The metrics of one source, with all of its series at zero.
    pub fn source(&self, source: &str) -> SourceMetrics {
        let result = |result: &str| self.requests.with_label_values(&[source, result]);
        SourceMetrics {
            accepted: result("accepted"),
            duplicate: result("duplicate"),
            signature_rejected: result("signature-rejected"),
            error: result("error"),
            rejected: Reason::ALL
                .map(|reason| (reason, self.rejected.with_label_values(&[source, reason.as_str()])))
                .to_vec(),
            key_held: self.rejected.with_label_values(&[source, KEY_HELD]),
            incomplete: self.incomplete.with_label_values(&[source]),
            last_event: self.last_event.with_label_values(&[source]),
            verify: self.verify.with_label_values(&[source]),
            ack: self.ack.with_label_values(&[source]),
            events: self.events.source(source),
            keys: self.keys.source(source),
            canary: self.canary.source(source),
        }
    }

    /// Everything in Prometheus' text format.
    pub fn text(&self) -> Result<String, MetricsError> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

/// Registers what it makes.
struct Make(Registry);

impl Make {
    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, MetricsError> {
        let counter = IntCounter::new(name, help)?;
        self.0.register(Box::new(counter.clone()))?;
        Ok(counter)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, MetricsError> {
        let gauge = IntGauge::new(name, help)?;
        self.0.register(Box::new(gauge.clone()))?;
        Ok(gauge)
    }

    fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntCounterVec, MetricsError> {
        let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
        self.0.register(Box::new(counters.clone()))?;
        Ok(counters)
    }

    fn gauges(&self, name: &str, help: &str) -> Result<IntGaugeVec, MetricsError> {
        self.gauges_of(name, help, &["source"])
    }

    fn gauges_of(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntGaugeVec, MetricsError> {
        let gauges = IntGaugeVec::new(Opts::new(name, help), labels)?;
        self.0.register(Box::new(gauges.clone()))?;
        Ok(gauges)
    }

    fn histograms(
        &self,
        name: &str,
        help: &str,
        buckets: Vec<f64>,
    ) -> Result<HistogramVec, MetricsError> {
        let histograms =
            HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets), &["source"])?;
        self.0.register(Box::new(histograms.clone()))?;
        Ok(histograms)
    }
}

/// The metrics of one source.
#[derive(Clone, Debug)]
pub struct SourceMetrics {
    accepted: IntCounter,
    duplicate: IntCounter,
    signature_rejected: IntCounter,
    error: IntCounter,
    rejected: Vec<(Reason, IntCounter)>,
    key_held: IntCounter,
    incomplete: IntCounter,
    last_event: IntGauge,
    verify: Histogram,
    ack: Histogram,
    /// What is measured of genuine requests.
    pub events: SourceEvents,
    /// What is counted of its keys.
    pub keys: SourceKeys,
    /// What is counted of its canaries.
    pub canary: SourceCanary,
}

impl SourceMetrics {
    /// Counts an answer. Every rejection counts as `signature-rejected`, whatever its reason: an
    /// `error` is ours, and one of them is enough to wake somebody.
    pub fn count(&self, answer: &Answer) {
        match answer {
            Answer::Received(_) => self.accepted.inc(),
            Answer::Replayed(_) => self.duplicate.inc(),
            Answer::Unavailable => self.error.inc(),
            Answer::Incomplete => self.incomplete.inc(),
            Answer::Rejected(reason) => {
                self.signature_rejected.inc();
                if let Some((_, counter)) = self.rejected.iter().find(|(known, _)| known == reason)
                {
                    counter.inc();
                }
            }
            // No `error`: names of keys are made up by whoever likes to.
            Answer::KeyHeld(_) => {
                self.signature_rejected.inc();
                self.key_held.inc();
            }
            Answer::Canary(_)
            | Answer::TooMany(_)
            | Answer::Unauthorized
            | Answer::Forbidden
            | Answer::Malformed
            | Answer::NotFound
            | Answer::MethodNotAllowed(_)
            | Answer::Report(..) => {}
        }
    }

    /// Notes how long it took to verify and parse a request.
    pub fn verified_in(&self, time: Duration) {
        self.verify.observe(time.as_secs_f64());
    }

    /// Notes an accepted event: how long its answer took and when it was received, milliseconds.
    pub fn accepted_in(&self, time: Duration, received_at: i64) {
        self.ack.observe(time.as_secs_f64());
        self.last_event.set(received_at.div_euclid(1000));
    }
}
