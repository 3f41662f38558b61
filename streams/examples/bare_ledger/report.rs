//! What a run took, by its own clock.

use std::time::{Duration, Instant};

/// Counted and measured in one run.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) records: u64,
    /// Records read from the changelogs at the start.
    pub(crate) restored: u64,
    /// Ids and accounts known at the start.
    pub(crate) keys: usize,
    pub(crate) began: Instant,
    /// From the start of the program to the first poll.
    pub(crate) ready: Duration,
    /// The part of it that went into taking the transactional id.
    pub(crate) fenced: Duration,
    /// The part of it that went into reading disk and changelogs.
    pub(crate) loaded: Duration,
    /// Waiting for acknowledgements, offsets and commit.
    pub(crate) commits: Vec<Duration>,
    /// Writing to the disk after a commit.
    pub(crate) keeps: Vec<Duration>,
}

impl Report {
    /// Said after the first commit, which is where somebody outside sees that the program is back.
    pub(crate) fn first_commit(&self) -> String {
        serde_json::json!({
            "first_commit_us": micros(self.began.elapsed()), "ready_us": micros(self.ready),
            "fence_us": micros(self.fenced), "load_us": micros(self.loaded),
            "keys": self.keys, "restored": self.restored,
        })
        .to_string()
    }

    /// One line of JSON, times in microseconds.
    pub(crate) fn line(mut self) -> String {
        let [commit50, commit99, commit_max] = quantiles(&mut self.commits);
        let [keep50, keep99, keep_max] = quantiles(&mut self.keeps);
        serde_json::json!({
            "records": self.records, "restored": self.restored, "commits": self.commits.len(),
            "ready_us": micros(self.ready),
            "commit_us_p50": commit50, "commit_us_p99": commit99, "commit_us_max": commit_max,
            "keep_us_p50": keep50, "keep_us_p99": keep99, "keep_us_max": keep_max,
        })
        .to_string()
    }
}

/// The monotonic clock: this loop measures itself and is replayed by nobody.
#[expect(clippy::disallowed_methods, reason = "a measuring program; nothing of it is replayed")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Says it on standard error.
#[expect(clippy::print_stderr, reason = "the numbers are what the program is for")]
pub(crate) fn say(line: &str) {
    eprintln!("{line}");
}

fn quantiles(times: &mut [Duration]) -> [u64; 3] {
    times.sort_unstable();
    let at = |percent: usize| {
        let index = times.len().saturating_sub(1).saturating_mul(percent) / 100;
        times.get(index).copied().map_or(0, micros)
    };
    [at(50), at(99), at(100)]
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
