//! Keeps the snapshot of event ids: opens it at the start, writes it now and then and at the end.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use schemas::topics::WEBHOOKS_RECEIVED;
use streams::Clock;

use crate::clock::Stopwatch;
use crate::dedupe::Dedupe;
use crate::dedupe::snapshot::{self, Header, Position, Snapshot, SnapshotError};
use crate::metrics::SnapshotMetrics;

/// Where and how often.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The file.
    pub(crate) file: PathBuf,
    /// Pause between two snapshots.
    pub(crate) every: Duration,
}

/// Keeps the file.
pub(crate) struct Keeper {
    settings: Settings,
    clock: Arc<dyn Clock>,
    metrics: SnapshotMetrics,
    /// The cluster's id: without one there is nothing to hold a snapshot against.
    cluster: Option<String>,
    /// The time from which on every event is known.
    since: i64,
    /// When the last was written, or tried to be, and what it held.
    last: Option<(i64, Vec<Position>)>,
    is_failing: bool,
}

impl Keeper {
    pub(crate) fn new(settings: Settings, clock: Arc<dyn Clock>, metrics: SnapshotMetrics) -> Self {
        Self {
            settings,
            clock,
            metrics,
            cluster: None,
            since: i64::MAX,
            last: None,
            is_failing: false,
        }
    }

    pub(super) fn now(&self) -> i64 {
        self.clock.now()
    }

    /// The snapshot that is there, if it can be read.
    pub(super) fn open(&self) -> Option<Snapshot> {
        match Snapshot::open(&self.settings.file) {
            Ok(snapshot) => snapshot,
            Err(error) => {
                self.set_aside(&error);
                None
            }
        }
    }

    /// Notes that the ids of a snapshot are in use, and how far it had read.
    pub(super) fn loaded(&mut self, header: Header) {
        self.metrics.loaded(header.written_at);
        self.since = header.since;
        self.cluster = Some(header.cluster);
        self.last = Some((header.written_at, header.positions));
    }

    /// Notes that the topic of `cluster` is read from the time `since` on, without a snapshot.
    pub(super) fn starts_anew(&mut self, cluster: Option<String>, since: i64) {
        if cluster.is_none() {
            tracing::warn!("the cluster has no id: event ids are kept in no file");
        }
        (self.cluster, self.since, self.last) = (cluster, since, None);
    }

    /// Puts a file that is not used away and says why; the whole window is read instead.
    pub(super) fn set_aside(&self, reason: &dyn std::error::Error) {
        self.metrics.set_aside();
        let file = self.settings.file.display();
        match snapshot::set_aside(&self.settings.file) {
            Ok(aside) => tracing::warn!(
                aside = %aside.display(),
                "the snapshot of event ids {file} is not used: {reason}; reading the whole window",
            ),
            Err(error) => tracing::warn!(
                "the snapshot of event ids {file} is not used: {reason}; reading the whole window; \
                 it stays where it is: {error}",
            ),
        }
    }

    /// Whether it is time for the next.
    pub(super) fn is_due(&self) -> bool {
        let every = i64::try_from(self.settings.every.as_millis()).unwrap_or(i64::MAX);
        let is_over = |written: i64| self.clock.now().saturating_sub(written) >= every;
        self.last.as_ref().is_none_or(|(written, _)| is_over(*written))
    }

    /// Writes the next, unless nothing was read since the last. What fails is said once, and tried
    /// again after the usual pause: a start without it only takes longer.
    pub(super) fn write(&mut self, positions: Vec<Position>, dedupe: &Dedupe) {
        let (now, Some(cluster)) = (self.clock.now(), self.cluster.clone()) else { return };
        if let Some((written, held)) = &mut self.last
            && *held == positions
        {
            *written = now;
            self.metrics.complete(now);
            return;
        }
        let header = Header {
            cluster,
            topic: WEBHOOKS_RECEIVED.to_owned(),
            written_at: now,
            since: self.since,
            frame: dedupe.frame(),
            positions,
        };
        let watch = Stopwatch::start();
        match snapshot::write(&self.settings.file, &header, dedupe) {
            Ok(ids) => {
                self.is_failing = false;
                self.metrics.written(now);
                let file = self.settings.file.display();
                tracing::debug!(ids, took = ?watch.elapsed(), "event ids are in {file}");
                self.last = Some((now, header.positions));
            }
            Err(error) => {
                self.failed(&error);
                // Nothing of it counts as written: the positions differ from any later ones.
                self.last = Some((now, Vec::new()));
            }
        }
    }

    fn failed(&mut self, error: &SnapshotError) {
        if let SnapshotError::Busy { .. } = error {
            tracing::debug!("no snapshot of event ids: {error}");
            return;
        }
        self.metrics.failed();
        if !std::mem::replace(&mut self.is_failing, true) {
            let cause = std::error::Error::source(error).map(ToString::to_string);
            let cause = cause.unwrap_or_default();
            tracing::warn!(
                "no snapshot of event ids, a restart will read the whole window: {error}: {cause}; \
                 give INGRESS_DEDUPE_SNAPSHOT a file in a folder that can be written, or `off`",
            );
        }
    }
}
