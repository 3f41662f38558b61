//! Numbers a running application shows, under the names Kafka Streams uses.

use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

/// Every number of one application.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    pub(crate) process_total: IntCounterVec,
    pub(crate) retries_total: IntCounterVec,
    pub(crate) dead_letters_total: IntCounterVec,
    pub(crate) calls_total: IntCounterVec,
    pub(crate) calls_in_flight: IntGaugeVec,
    pub(crate) call_seconds: HistogramVec,
    pub(crate) punctuate_total: IntCounterVec,
    pub(crate) commit_total: IntCounter,
    pub(crate) commit_failed_total: IntCounter,
    pub(crate) sends_total: IntCounter,
    pub(crate) tasks_assigned: IntGauge,
    pub(crate) restore_records_total: IntCounter,
    pub(crate) restoring_tasks: IntGauge,
    pub(crate) restore_remaining_records: IntGaugeVec,
    pub(crate) partitions_paused: IntGauge,
    pub(crate) transactions_aborted_total: IntCounter,
    pub(crate) store_write_errors_total: IntCounter,
}

impl Metrics {
    /// Numbers at zero, registered under `application_id`.
    pub fn new(application_id: &str) -> Result<Self, prometheus::Error> {
        let labels = [("application_id".to_owned(), application_id.to_owned())].into();
        let registry = Registry::new_custom(Some("streams".to_owned()), Some(labels))?;
        let counter = |name: &str, help: &str| -> Result<IntCounter, prometheus::Error> {
            let metric = IntCounter::with_opts(Opts::new(name, help))?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let gauge = |name: &str, help: &str| -> Result<IntGauge, prometheus::Error> {
            let metric = IntGauge::with_opts(Opts::new(name, help))?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let per_processor = |name: &str, help: &str| -> Result<IntCounterVec, prometheus::Error> {
            let metric = IntCounterVec::new(Opts::new(name, help), &["processor"])?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let calls_in_flight = IntGaugeVec::new(
            Opts::new("calls_in_flight", "Calls to others that have not answered"),
            &["processor"],
        )?;
        registry.register(Box::new(calls_in_flight.clone()))?;
        let restore_remaining_records = IntGaugeVec::new(
            Opts::new(
                "restore_remaining_records",
                "Offsets of changelogs that a restoring task has still to read",
            ),
            &["sub_topology", "partition"],
        )?;
        registry.register(Box::new(restore_remaining_records.clone()))?;
        let call_seconds = HistogramVec::new(
            HistogramOpts::new("call_seconds", "Time from a call to its answer"),
            &["processor"],
        )?;
        registry.register(Box::new(call_seconds.clone()))?;
        Ok(Self {
            process_total: per_processor("process_total", "Records finished")?,
            retries_total: per_processor("retries_total", "Tries that failed and are repeated")?,
            dead_letters_total: per_processor("dead_letters_total", "Records dead-lettered")?,
            calls_total: per_processor("calls_total", "Calls to others")?,
            punctuate_total: per_processor("punctuate_total", "Punctuations")?,
            commit_total: counter("commit_total", "Offset commits")?,
            commit_failed_total: counter("commit_failed_total", "Offset commits that failed")?,
            sends_total: counter("sends_total", "Records sent, changelogs included")?,
            tasks_assigned: gauge("tasks_assigned", "Tasks this instance runs")?,
            restore_records_total: counter("restore_records_total", "Changelog records restored")?,
            restoring_tasks: gauge("restoring_tasks", "Tasks that are restoring their state")?,
            partitions_paused: gauge("partitions_paused", "Partitions paused to let work drain")?,
            transactions_aborted_total: counter(
                "transactions_aborted_total",
                "Transactions that were aborted; their records are handled again",
            )?,
            store_write_errors_total: counter(
                "store_write_errors_total",
                "State directories given up because they could not be written",
            )?,
            restore_remaining_records,
            calls_in_flight,
            call_seconds,
            registry,
        })
    }

    /// Where an application registers numbers of its own; they appear with these.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The numbers in Prometheus' text format.
    pub fn render(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}
