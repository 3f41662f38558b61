//! When a transaction is committed before its interval is over: when the thread has time for it.
//!
//! At the interval's end, an output has waited half of it, though a thread with little to do could
//! have committed long before (`docs/adr/0012-commit-at-leisure.md`).

use crate::record::Timestamp;

/// For so many times the length of the last commit, no other is begun early: all of them together
/// take at most half of the time.
const COMMIT_SHARE: i64 = 1;

/// At most so many commits in an interval, however short they are: each costs the brokers a marker in
/// every partition written to.
const COMMITS_AN_INTERVAL_MAX: i64 = 4;

/// The part of the time since the last commit that the thread has waited for records before it has
/// time for the next.
const REST_SHARE: i64 = 2;

/// What part of the earliest time to the next commit has gone by when waiting changes are sent: their
/// batch has to leave before that commit.
const SPREAD_PART: i64 = 3;

/// How busy the thread was since the last commit. Times are milliseconds.
#[derive(Debug)]
pub(super) struct Leisure {
    interval_ms: i64,
    prepared_at: Timestamp,
    committed_at: Timestamp,
    /// From the end of the last commit to the earliest next one.
    gap_ms: i64,
    rested_ms: i64,
}

impl Leisure {
    pub(super) fn new(interval_ms: i64, now: Timestamp) -> Self {
        Self { interval_ms, prepared_at: now, committed_at: now, gap_ms: interval_ms, rested_ms: 0 }
    }

    /// The thread has waited this long for records.
    pub(super) fn rested(&mut self, ms: i64) {
        self.rested_ms = self.rested_ms.saturating_add(ms.max(0));
    }

    /// A commit begins.
    pub(super) fn prepared(&mut self, now: Timestamp) {
        self.prepared_at = now;
    }

    /// It is done.
    pub(super) fn committed(&mut self, now: Timestamp) {
        let took_ms = now.saturating_sub(self.prepared_at).max(0);
        let least = self.interval_ms / COMMITS_AN_INTERVAL_MAX;
        self.gap_ms = took_ms.saturating_mul(COMMIT_SHARE).max(least).min(self.interval_ms);
        self.committed_at = now;
        self.rested_ms = 0;
    }

    /// When the thread has time for a commit, if it waits for records from `now` on.
    pub(super) fn commit_at(&self, now: Timestamp) -> Timestamp {
        let may = self.committed_at.saturating_add(self.gap_ms);
        // rested + (at - now) >= (at - committed) / 2, solved for `at`
        let lacks = now.saturating_sub(self.rested_ms).saturating_mul(REST_SHARE);
        may.max(lacks.saturating_sub(self.committed_at))
    }

    /// When changes that wait for the commit are sent.
    pub(super) fn spread_at(&self) -> Timestamp {
        self.committed_at.saturating_add(self.gap_ms / SPREAD_PART)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Leisure;

    const INTERVAL_MS: i64 = 100;

    /// After a commit from `from` to `to`.
    fn after_commit(from: i64, to: i64) -> Leisure {
        let mut leisure = Leisure::new(INTERVAL_MS, 0);
        leisure.prepared(from);
        leisure.committed(to);
        leisure
    }

    #[test]
    fn a_lone_record_after_a_silence_is_committed_at_once() {
        let mut leisure = after_commit(0, 10);
        leisure.rested(5_000);
        assert!(leisure.commit_at(5_011) <= 5_011);
    }

    #[test]
    fn a_thread_that_never_waits_commits_at_the_interval() {
        let leisure = after_commit(0, 10);
        for now in 10..110 {
            assert!(leisure.commit_at(now) > now, "{now}");
        }
    }

    #[test]
    fn slow_commits_come_no_earlier_than_the_interval() {
        let mut leisure = after_commit(0, 150);
        leisure.rested(1_000);
        assert_eq!(leisure.commit_at(151), 150 + INTERVAL_MS);
    }

    proptest! {
        /// Commits take at most half of the time, and there are at most four in an interval.
        #[test]
        fn early_commits_leave_the_thread_its_time(took in 0_i64..120, rested in 0_i64..500) {
            let mut leisure = after_commit(0, took);
            leisure.rested(rested);
            let gap = leisure.commit_at(took) - took;
            prop_assert!(gap >= INTERVAL_MS / 4);
            prop_assert!(gap >= INTERVAL_MS.min(took));
        }

        /// The time given is the first at which the thread has waited for half of the time.
        #[test]
        fn the_time_given_is_the_first_that_counts(now in 0_i64..1_000, rested in 0_i64..1_000) {
            let rested = rested.min(now);
            let mut leisure = after_commit(0, 0);
            leisure.rested(rested);
            let at = leisure.commit_at(now);
            for tried in now..now + 2_000 {
                let is_rested = 2 * (rested + tried - now) >= tried;
                prop_assert_eq!(tried >= at, is_rested && tried >= INTERVAL_MS / 4);
            }
        }
    }
}
