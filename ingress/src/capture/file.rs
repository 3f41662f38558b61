//! The file of rejected requests: appended to, bounded, for its owner only.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::metrics::CaptureMetrics;

/// How often a writer without lines looks whether it shall stop.
const LOOK_PERIOD: Duration = Duration::from_millis(200);

/// Only the owner reads what was signed, or writes what is believed.
const MODE: u32 = 0o600;

/// Writes the lines that come; to be run on a thread that may wait for a disk.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    limit: u64,
    lines: Receiver<Vec<u8>>,
    metrics: CaptureMetrics,
}

impl Writer {
    pub(super) fn new(
        path: PathBuf,
        limit: u64,
        lines: Receiver<Vec<u8>>,
        metrics: CaptureMetrics,
    ) -> Self {
        Self { path, limit, lines, metrics }
    }

    /// Writes until `stop`, and what has come by then.
    pub fn run(&self, stop: &CancellationToken) {
        let mut failing = false;
        loop {
            match self.lines.recv_timeout(LOOK_PERIOD) {
                Ok(line) => failing = self.write(&line, failing),
                Err(RecvTimeoutError::Timeout) if !stop.is_cancelled() => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Whether it failed; said once, until it works again.
    fn write(&self, line: &[u8], was_failing: bool) -> bool {
        let Err(error) = self.append(line) else {
            self.metrics.written.inc();
            return false;
        };
        self.metrics.failed.inc();
        if !was_failing {
            let file = self.path.display();
            tracing::error!("cannot keep a rejected request in {file}: {error}");
        }
        true
    }

    /// Opened for each line, some a second at most: a file that somebody moved away is made anew.
    fn append(&self, line: &[u8]) -> io::Result<()> {
        let mut file = self.open()?;
        let length = file.metadata()?.len();
        let added = u64::try_from(line.len()).unwrap_or(u64::MAX);
        if length > 0 && length.saturating_add(added) > self.limit {
            let mut old = self.path.clone().into_os_string();
            old.push(".1");
            std::fs::rename(&self.path, old)?;
            file = self.open()?;
        }
        file.write_all(line)
    }

    fn open(&self) -> io::Result<File> {
        OpenOptions::new().append(true).create(true).mode(MODE).open(&self.path)
    }
}
