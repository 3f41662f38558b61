//! The log's lines about rejected requests: a flood of the ones is no flood of the others.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::clock::Stopwatch;
use crate::rate::{Pace, Rate};

/// Lines of a source, a second in the long run. With the burst of a bucket it is nine in any second.
/// All rejections are counted (`webhook_rejected_total`).
const LINES_A_SECOND: u32 = 3;

/// What was said of one source's rejected requests.
#[derive(Debug)]
pub struct Complaints {
    pace: Pace,
    since: Stopwatch,
    unsaid: AtomicU64,
}

impl Default for Complaints {
    fn default() -> Self {
        let pace = Pace::new(Rate::per_second(LINES_A_SECOND));
        Self { pace, since: Stopwatch::start(), unsaid: AtomicU64::new(0) }
    }
}

impl Complaints {
    /// Whether the log may have a line: then how many rejections before this one had none.
    pub fn may_say(&self) -> Option<u64> {
        self.may_say_at(u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    fn may_say_at(&self, now_us: u64) -> Option<u64> {
        if self.pace.take(now_us).is_err() {
            self.unsaid.fetch_add(1, Relaxed);
            return None;
        }
        Some(self.unsaid.swap(0, Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::Complaints;

    #[test]
    fn a_flood_has_at_most_ten_lines_in_any_second_and_they_say_how_many_had_none() {
        const MILLISECOND: u64 = 1_000;
        let complaints = Complaints::default();
        let mut said: Vec<(u64, u64)> = Vec::new();
        for ms in 0..10_000 {
            said.extend(complaints.may_say_at(ms * MILLISECOND).map(|unsaid| (ms, unsaid)));
        }
        assert!(said.len() > 20, "it is not silent: {said:?}");
        for (ms, _) in &said {
            let lines = said.iter().filter(|(at, _)| (*ms..ms + 1_000).contains(at)).count();
            assert!(lines <= 10, "{lines} from {ms} on");
        }
        let told = said.len() as u64 + said.iter().map(|(_, unsaid)| unsaid).sum::<u64>();
        assert_eq!(said.last().map(|(ms, _)| ms + 1), Some(told), "each is said or counted");
    }
}
