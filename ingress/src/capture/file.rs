//! The file of rejected requests: appended to, bounded, for its owner only.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use schemas::WebhookRejected;

use crate::metrics::CaptureMetrics;

/// Only the owner reads what was signed, or writes what is believed.
const MODE: u32 = 0o600;

/// A file of so many bytes at most, and as many in the one before it.
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    limit: u64,
    metrics: CaptureMetrics,
    is_failing: bool,
}

impl File {
    pub(super) fn new(path: PathBuf, limit: u64, metrics: CaptureMetrics) -> Self {
        Self { path, limit, metrics, is_failing: false }
    }

    /// Appends a line. A failure is said once, until it works again.
    pub(super) fn put(&mut self, kept: &WebhookRejected) {
        let Err(error) = self.append(kept) else {
            self.metrics.written.inc();
            self.is_failing = false;
            return;
        };
        self.metrics.failed.inc();
        if !self.is_failing {
            let file = self.path.display();
            tracing::error!("cannot keep a rejected request in {file}: {error}");
        }
        self.is_failing = true;
    }

    /// Opened for each line, some a second at most: a file that somebody moved away is made anew.
    fn append(&self, kept: &WebhookRejected) -> io::Result<()> {
        let mut line = serde_json::to_vec(kept)?;
        line.push(b'\n');
        let mut file = open(&self.path)?;
        let length = file.metadata()?.len();
        let added = u64::try_from(line.len()).unwrap_or(u64::MAX);
        if length > 0 && length.saturating_add(added) > self.limit {
            let mut old = self.path.clone().into_os_string();
            old.push(".1");
            std::fs::rename(&self.path, old)?;
            file = open(&self.path)?;
        }
        file.write_all(&line)
    }
}

/// Opens the file to append to it.
pub(super) fn open(path: &Path) -> io::Result<std::fs::File> {
    OpenOptions::new().append(true).create(true).mode(MODE).open(path)
}
