//! Watches the files that secrets are in, so that a new one needs no restart.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use signatures::source::SecretStore;
use tokio_util::sync::CancellationToken;

use crate::door::Door;
use crate::receive::Ingress;

/// How often the files are looked at. A rename over the file is seen like any other change.
const WATCH_PERIOD: Duration = Duration::from_secs(1);

/// What tells one state of a file from the next; `None` when it is not there.
type Mark = Option<(SystemTime, u64)>;

fn mark(path: &Path) -> Mark {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn marks(door: &Door) -> Vec<Mark> {
    door.secret_files().map(mark).collect()
}

/// Reloads a source's secrets whenever one of its files has changed, until `stop`.
pub(super) async fn watch<P>(
    ingress: Arc<Ingress<P>>,
    store: impl SecretStore,
    stop: CancellationToken,
) {
    let mut seen: Vec<_> = ingress.doors.iter().map(marks).collect();
    while tokio::time::timeout(WATCH_PERIOD, stop.cancelled()).await.is_err() {
        for (door, seen) in ingress.doors.iter().zip(&mut seen) {
            look(&ingress, door, &store, seen);
        }
    }
}

fn look<P>(ingress: &Ingress<P>, door: &Door, store: &impl SecretStore, seen: &mut Vec<Mark>) {
    let now = marks(door);
    if now == *seen {
        return;
    }
    *seen = now;
    let source = &door.source.name;
    match door.reload(store) {
        Ok(()) => {
            let keys: Vec<_> = door.verifier().key_ids().map(str::to_owned).collect();
            tracing::info!(source, ?keys, "secrets reloaded");
        }
        Err(error) => {
            ingress.metrics.reload_failures.inc();
            tracing::error!(source, "secrets not reloaded, the ones from before stay: {error}");
        }
    }
}

#[cfg(test)]
mod tests;
