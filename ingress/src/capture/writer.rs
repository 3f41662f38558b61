//! Puts what is kept of rejected requests in its place.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use schemas::WebhookRejected;
use tokio_util::sync::CancellationToken;

use super::file::File;
use super::topic::Topic;

/// How often a writer that has nothing to write looks whether it shall stop.
const LOOK_PERIOD: Duration = Duration::from_millis(200);

/// Writes to one place; to be run on a thread that may wait for a disk or a registry.
#[derive(Debug)]
pub struct Writer {
    kept: Receiver<Arc<WebhookRejected>>,
    place: Place,
}

#[derive(Debug)]
pub(super) enum Place {
    File(File),
    Topic(Topic),
}

impl Writer {
    pub(super) fn new(kept: Receiver<Arc<WebhookRejected>>, place: Place) -> Self {
        Self { kept, place }
    }

    /// Writes until `stop`, and what has come by then.
    pub fn run(&mut self, stop: &CancellationToken) {
        loop {
            match (self.kept.recv_timeout(LOOK_PERIOD), &mut self.place) {
                (Ok(kept), Place::File(file)) => file.put(&kept),
                (Ok(kept), Place::Topic(topic)) => topic.put(&kept),
                (Err(RecvTimeoutError::Timeout), place) if !stop.is_cancelled() => {
                    if let Place::Topic(topic) = place {
                        topic.look();
                    }
                }
                (Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected), _) => break,
            }
        }
        if let Place::Topic(topic) = &self.place {
            topic.flush();
        }
    }
}
