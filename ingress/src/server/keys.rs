//! Keeps the keys of every source: watches the files that secrets are in, so that a new one needs no
//! restart, and fetches what providers publish.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use signatures::source::SecretStore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::SystemSecrets;
use crate::door::Door;
use crate::key_fetch::{ClientError, HttpKeys, Keeper};
use crate::publish::Publisher;
use crate::receive::Ingress;

/// How often the files are looked at. A rename over the file is seen like any other change.
const WATCH_PERIOD: Duration = Duration::from_secs(1);

/// What tells one state of a file from the next; `None` when it is not there. Another file at the
/// end of a link, which is how Kubernetes changes secrets, may be as old and as long as the one before.
type Mark = Option<(SystemTime, u64, u64)>;

fn mark(path: &Path) -> Mark {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
}

fn marks(door: &Door, store: &impl SecretStore) -> Vec<Mark> {
    door.source.secret_files(store).iter().map(|path| mark(path)).collect()
}

/// Starts a task that watches the files, and one for each source whose keys are fetched.
pub(super) fn start<P: Publisher>(
    ingress: &Arc<Ingress<P>>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> Result<(), ClientError> {
    tasks.spawn(watch(Arc::clone(ingress), SystemSecrets, stop.clone()));
    for (index, door) in ingress.doors.iter().enumerate() {
        let Some(remote) = door.source.remote.clone() else { continue };
        let keeper = Keeper::new(remote, HttpKeys::new()?, SystemSecrets);
        let (ingress, stop) = (Arc::clone(ingress), stop.clone());
        tasks.spawn(async move {
            if let Some(door) = ingress.doors.get(index) {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = keeper.keep(door, ingress.clock.as_ref()) => {}
                }
            }
        });
    }
    Ok(())
}

/// Reloads a source's secrets whenever one of its files has changed, until `stop`.
async fn watch<P>(ingress: Arc<Ingress<P>>, store: impl SecretStore, stop: CancellationToken) {
    // Nothing is seen yet: a file may have changed since its door was opened.
    let mut seen = vec![Vec::new(); ingress.doors.len()];
    while tokio::time::timeout(WATCH_PERIOD, stop.cancelled()).await.is_err() {
        for (door, seen) in ingress.doors.iter().zip(&mut seen) {
            look(&ingress, door, &store, seen);
        }
    }
}

fn look<P>(ingress: &Ingress<P>, door: &Door, store: &impl SecretStore, seen: &mut Vec<Mark>) {
    let now = marks(door, store);
    if now == *seen {
        return;
    }
    let is_first = seen.is_empty();
    *seen = now;
    let source = &door.source.name;
    match door.reload(store) {
        Ok(()) if is_first => tracing::debug!(source, "secrets are watched"),
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
