//! Keeps rejected requests for `bankstream webhook captured`, where somebody asked for it.
//!
//! They go to a file, to a topic, or to both. Whoever sends something that is refused decides how much
//! and how often: a request is cut, a second has room for so many of each source, file and topic are
//! bounded, and a slow disk or a dead broker costs what is kept, not webhooks. What may be secret is not
//! kept: of a header that is not known to be harmless its length and the begin of its hash. With
//! [`Content::Whole`] the headers of the scheme and the body are kept too, because nothing less tells why
//! a signature does not match; never those of anything else.

mod file;
mod kept;
mod topic;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};

use clap::ValueEnum;
use clap::builder::FalseyValueParser;
use schemas::WebhookRejected;
use signatures::Reason;
use signatures::source::SourceConfig;

use self::file::File;
pub(crate) use self::kept::Request;
pub use self::topic::Topic;
use self::writer::Place;
pub use self::writer::Writer;
use crate::clock::Stopwatch;
use crate::config::number;
use crate::metrics::CaptureMetrics;
use crate::rate::{Pace, Rate};

/// Requests that wait for the disk or the topic; more of them are dropped. At the default limit of a
/// body some 6 MB.
const WAITING_MAX: usize = 64;

/// The most that [`Options::body_limit`] may be with a topic: in base64, beside the largest head, it
/// fits into a record.
pub const TOPIC_BODY_BYTES_MAX: usize = 256 * 1024;

/// What is kept of rejected requests, and how much.
#[derive(Clone, Debug, clap::Args)]
#[group(id = "capture")]
pub struct Options {
    /// File to keep rejected requests in, one JSON object a line, for its owner's eyes only. Without
    /// file and topic none are kept.
    #[arg(long = "capture-file", env = "INGRESS_CAPTURE_FILE")]
    pub file: Option<PathBuf>,
    /// Keep rejected requests on the topic `bank.webhooks.rejected.v1`, for whoever may read that.
    #[arg(
        id = "capture_topic",
        long = "capture-topic",
        env = "INGRESS_CAPTURE_TOPIC",
        value_parser = FalseyValueParser::new()
    )]
    pub topic: bool,
    /// What is kept of them. Only `whole` can be judged again; it holds bodies and signatures.
    #[arg(
        long = "capture-content",
        env = "INGRESS_CAPTURE_CONTENT",
        value_enum,
        default_value = "heads"
    )]
    pub content: Content,
    /// Bytes kept of a body; a longer one is cut. At most 262144 with a topic.
    #[arg(
        id = "capture_body_limit",
        long = "capture-body-limit",
        env = "INGRESS_CAPTURE_BODY_LIMIT",
        default_value_t = 64 * 1024,
        value_parser = number::<usize>
    )]
    pub body_limit: usize,
    /// Bytes of the file; a full one is renamed to end in `.1`, in place of the one before. Of the
    /// topic, bytes an hour.
    #[arg(
        id = "capture_limit",
        long = "capture-limit",
        env = "INGRESS_CAPTURE_LIMIT",
        default_value_t = 16 * 1024 * 1024,
        value_parser = number::<u64>
    )]
    pub limit: u64,
    /// Rejected requests a second that are kept of each source; 0 for no limit.
    #[arg(long = "capture-rate", env = "INGRESS_CAPTURE_RATE", default_value_t = 5, value_parser = number::<u32>)]
    pub rate: u32,
}

/// Why rejected requests cannot be kept.
#[derive(Debug, thiserror::Error)]
#[error(
    "--capture-file {file} (INGRESS_CAPTURE_FILE) cannot be written: {problem}; expected a file in a \
     folder that is there and that this process may write to: create the folder, or name another"
)]
pub struct FileError {
    file: String,
    /// Part of this message, not a cause below it.
    problem: std::io::Error,
}

impl Options {
    /// Refuses a file that cannot be written: else nobody hears of it before the first rejected request
    /// that somebody wants to see. Leaves an empty one where there was none.
    pub fn check(&self) -> Result<(), FileError> {
        let Some(path) = &self.file else { return Ok(()) };
        let opened = file::open(path);
        opened.map(drop).map_err(|problem| FileError { file: path.display().to_string(), problem })
    }
}

/// How much of a rejected request is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Content {
    /// Names of headers, values of harmless ones; length and hash of all else.
    Heads,
    /// Also the scheme's headers and the body: whoever reads the file reads those.
    Whole,
}

/// Where rejected requests go; nowhere unless there is a file or a topic.
#[derive(Debug)]
pub struct Capture(Option<Open>);

#[derive(Debug)]
struct Open {
    content: Content,
    body_limit: usize,
    /// One a source: a flood at one door does not hide what another refuses.
    paces: Vec<(String, Pace)>,
    since: Stopwatch,
    /// Each with a writer of its own: one that is slow holds up nothing of the other.
    places: Vec<SyncSender<Arc<WebhookRejected>>>,
    metrics: CaptureMetrics,
}

impl Capture {
    /// One that keeps nothing.
    pub fn off() -> Self {
        Self(None)
    }

    /// The capture of these sources, and the writers to run beside it: to the configured file, and to
    /// `topic`.
    pub fn new<'a>(
        options: &Options,
        sources: impl Iterator<Item = &'a str>,
        topic: Option<Topic>,
        metrics: &CaptureMetrics,
    ) -> (Self, Vec<Writer>) {
        let file = options.file.clone().map(|path| File::new(path, options.limit, metrics.clone()));
        let places = file.map(Place::File).into_iter().chain(topic.map(Place::Topic));
        let (places, writers): (Vec<_>, Vec<_>) = places
            .map(|place| {
                let (sender, waiting) = sync_channel(WAITING_MAX);
                (sender, Writer::new(waiting, place))
            })
            .unzip();
        if places.is_empty() {
            return (Self::off(), writers);
        }
        let pace = |name: &str| (name.to_owned(), Pace::new(Rate::per_second(options.rate)));
        let open = Open {
            content: options.content,
            body_limit: options.body_limit,
            paces: sources.map(pace).collect(),
            since: Stopwatch::start(),
            places,
            metrics: metrics.clone(),
        };
        (Self(Some(open)), writers)
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
        let kept = kept::of(source, request, reason, now, (open.content, open.body_limit));
        let kept = Arc::new(kept);
        for place in &open.places {
            match place.try_send(Arc::clone(&kept)) {
                Ok(()) => {}
                Err(TrySendError::Full(_)) => open.metrics.crowded.inc(),
                Err(TrySendError::Disconnected(_)) => open.metrics.failed.inc(),
            }
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
