//! Keeps rejected requests for `bankstream webhook captured`, where somebody asked for it.
//!
//! Whoever sends something that is refused decides how much and how often: a request is cut, a second
//! has room for so many of each source, the file is bounded, and a slow disk costs lines, not
//! webhooks. What may be secret is not kept: of a header that is not known to be harmless its length
//! and the begin of its hash. With [`Content::Whole`] the headers of the scheme and the body are kept
//! too, because nothing less tells why a signature does not match; never those of anything else.

mod file;
mod line;

use std::path::PathBuf;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};

use clap::ValueEnum;
use signatures::Reason;
use signatures::source::SourceConfig;

pub use self::file::Writer;
pub(crate) use self::line::Request;
use crate::clock::Stopwatch;
use crate::metrics::CaptureMetrics;
use crate::rate::{Pace, Rate};

/// Lines that wait for the disk; more of them are dropped. At the default limit of a body some 6 MB.
const LINES_MAX: usize = 64;

/// What is kept of rejected requests, and how much.
#[derive(Clone, Debug, clap::Args)]
#[group(id = "capture")]
pub struct Options {
    /// File to keep rejected requests in, one JSON object a line, for its owner's eyes only; without
    /// it none are kept.
    #[arg(long = "capture-file", env = "INGRESS_CAPTURE_FILE")]
    pub file: Option<PathBuf>,
    /// What is kept of them. Only `whole` can be judged again; it holds bodies and signatures.
    #[arg(
        long = "capture-content",
        env = "INGRESS_CAPTURE_CONTENT",
        value_enum,
        default_value = "heads"
    )]
    pub content: Content,
    /// Bytes kept of a body; a longer one is cut.
    #[arg(
        id = "capture_body_limit",
        long = "capture-body-limit",
        env = "INGRESS_CAPTURE_BODY_LIMIT",
        default_value_t = 64 * 1024
    )]
    pub body_limit: usize,
    /// Bytes of the file; a full one is renamed to end in `.1`, in place of the one before.
    #[arg(
        long = "capture-limit",
        env = "INGRESS_CAPTURE_LIMIT",
        default_value_t = 16 * 1024 * 1024
    )]
    pub file_limit: u64,
    /// Rejected requests a second that are kept of each source; 0 for no limit.
    #[arg(long = "capture-rate", env = "INGRESS_CAPTURE_RATE", default_value_t = 5)]
    pub rate: u32,
}

/// How much of a rejected request is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Content {
    /// Names of headers, values of harmless ones; length and hash of all else.
    Heads,
    /// Also the scheme's headers and the body: whoever reads the file reads those.
    Whole,
}

/// Where rejected requests go; nowhere unless there is a file.
#[derive(Debug)]
pub struct Capture(Option<Open>);

#[derive(Debug)]
struct Open {
    content: Content,
    body_limit: usize,
    /// One a source: a flood at one door does not hide what another refuses.
    paces: Vec<(String, Pace)>,
    since: Stopwatch,
    lines: SyncSender<Vec<u8>>,
    metrics: CaptureMetrics,
}

impl Capture {
    /// One that keeps nothing.
    pub fn off() -> Self {
        Self(None)
    }

    /// The capture of these sources, and the writer to run beside it, if a file is configured.
    pub fn new<'a>(
        options: &Options,
        sources: impl Iterator<Item = &'a str>,
        metrics: &CaptureMetrics,
    ) -> (Self, Option<Writer>) {
        let Some(path) = &options.file else { return (Self::off(), None) };
        let (lines, waiting) = sync_channel(LINES_MAX);
        let pace = |name: &str| (name.to_owned(), Pace::new(Rate::per_second(options.rate)));
        let open = Open {
            content: options.content,
            body_limit: options.body_limit,
            paces: sources.map(pace).collect(),
            since: Stopwatch::start(),
            lines,
            metrics: metrics.clone(),
        };
        let writer = Writer::new(path.clone(), options.file_limit, waiting, metrics.clone());
        (Self(Some(open)), Some(writer))
    }

    /// Keeps a request that `source` rejected at the time `now`, milliseconds. Does not wait.
    pub(crate) fn keep(
        &self,
        source: &SourceConfig,
        request: &Request<'_>,
        reason: Reason,
        now: i64,
    ) {
        let Some(open) = &self.0 else { return };
        if !open.has_room(&source.name) {
            open.metrics.over_rate.inc();
            return;
        }
        let line = line::line(source, request, reason, now, (open.content, open.body_limit));
        match line.map(|line| open.lines.try_send(line)) {
            Ok(Ok(())) => {}
            Ok(Err(TrySendError::Full(_))) => open.metrics.crowded.inc(),
            Ok(Err(TrySendError::Disconnected(_))) | Err(_) => open.metrics.failed.inc(),
        }
    }
}

impl Open {
    fn has_room(&self, source: &str) -> bool {
        let now = u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX);
        let pace = self.paces.iter().find(|(name, _)| name == source);
        pace.is_some_and(|(_, pace)| pace.take(now).is_ok())
    }
}

#[cfg(test)]
mod tests;
