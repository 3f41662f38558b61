//! Which records of a partition are finished.

use std::collections::{BTreeSet, VecDeque};

use super::commit_point::{FINISHED_AHEAD_MAX, FinishedAhead};

/// What a fetched record means to a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fetched {
    /// To be handled.
    New,
    /// Fetched before: nothing to do.
    Again,
    /// Finished before a restart, ahead of the committed offset: not to be handled again.
    Finished,
}

/// Follows the records of one partition from fetch to finish, in any order of finishing.
#[derive(Debug, Default)]
pub(crate) struct OffsetTracker {
    /// Fetched, in offset order; a finished one leaves when everything before it has.
    open: VecDeque<(i64, bool)>,
    /// Finished ones among `open`.
    finished_ahead: usize,
    /// One past the last record fetched.
    next: Option<i64>,
    /// What the commit this task began from says of records at or above its offset.
    finished_before: BTreeSet<i64>,
}

impl OffsetTracker {
    /// Begins at a committed offset, some records above which were finished already.
    pub(crate) fn begin(&mut self, committed: i64, finished: &FinishedAhead) {
        self.next = Some(committed);
        self.finished_before = finished.offsets(committed).collect();
    }

    /// A record was fetched. Offsets only grow; gaps (compaction, markers) are normal.
    pub(crate) fn fetched(&mut self, offset: i64) -> Fetched {
        if self.next.is_some_and(|next| offset < next) {
            return Fetched::Again;
        }
        self.next = Some(offset.saturating_add(1));
        self.open.push_back((offset, false));
        if self.finished_before.remove(&offset) {
            self.finished(offset);
            return Fetched::Finished;
        }
        Fetched::New
    }

    /// There is no record between the last one fetched and this offset. Whether that moved the offset
    /// that may be committed.
    pub(crate) fn passed(&mut self, offset: i64) -> bool {
        if self.next.is_none_or(|next| next >= offset) {
            return false;
        }
        self.next = Some(offset);
        self.open.is_empty()
    }

    /// A record is finished.
    pub(crate) fn finished(&mut self, offset: i64) {
        if self.open.front().is_some_and(|(first, _)| *first == offset) {
            self.open.pop_front();
            while self.open.front().is_some_and(|(_, is_done)| *is_done) {
                self.open.pop_front();
                self.finished_ahead = self.finished_ahead.saturating_sub(1);
            }
            return;
        }
        if let Ok(index) = self.open.binary_search_by_key(&offset, |(offset, _)| *offset)
            && let Some((_, is_done)) = self.open.get_mut(index)
            && !*is_done
        {
            *is_done = true;
            self.finished_ahead = self.finished_ahead.saturating_add(1);
        }
    }

    /// Records that were finished are not any more: their transaction was aborted. What was finished
    /// between them stays finished: it left with them when the watermark passed, and an earlier
    /// transaction has its outputs.
    pub(crate) fn reopen(&mut self, offsets: impl IntoIterator<Item = i64>) {
        let offsets: BTreeSet<i64> = offsets.into_iter().collect();
        let Some(first) = offsets.first().copied() else { return };
        let passed = self.watermark().unwrap_or(first);
        let mut all: std::collections::BTreeMap<i64, bool> = self.open.drain(..).collect();
        // Offsets that never were a record are harmless: nobody fetches them.
        all.extend((first..passed).map(|offset| (offset, true)));
        all.extend(offsets.into_iter().map(|offset| (offset, false)));
        self.open = all.into_iter().collect();
        while self.open.front().is_some_and(|(_, is_done)| *is_done) {
            self.open.pop_front();
        }
        self.finished_ahead = self.open.iter().filter(|(_, is_done)| *is_done).count();
    }

    /// The offset that may be committed: everything below it is finished. `None` before the first
    /// record.
    pub(crate) fn watermark(&self) -> Option<i64> {
        self.open.front().map_or(self.next, |(offset, _)| Some(*offset))
    }

    /// What is finished above the watermark.
    pub(crate) fn finished_ahead(&self) -> FinishedAhead {
        let Some(watermark) = self.watermark() else { return FinishedAhead::default() };
        // What an earlier run finished and this one has not fetched again yet stays finished.
        let before = self.finished_before.iter().copied();
        if self.finished_ahead == 0 {
            return FinishedAhead::of(watermark, before);
        }
        let ahead = self.open.iter().filter(|(_, is_done)| *is_done).map(|(offset, _)| *offset);
        FinishedAhead::of(watermark, ahead.chain(before))
    }

    /// One past the last record fetched.
    pub(crate) fn next(&self) -> Option<i64> {
        self.next
    }

    /// From the oldest unfinished record to the newest fetched one, in offsets: what the commit's
    /// metadata has to describe.
    pub(crate) fn span(&self) -> usize {
        let first = self.open.front().map(|(offset, _)| *offset);
        let width = first.zip(self.next).map_or(0, |(first, next)| next.saturating_sub(first));
        usize::try_from(width).unwrap_or(usize::MAX)
    }

    /// Whether a commit could tell that this record is finished, with the oldest one unfinished. What
    /// is finished further ahead would be forgotten by a crash, and handled twice.
    pub(crate) fn is_in_reach(&self, offset: i64) -> bool {
        self.oldest().is_none_or(|oldest| {
            usize::try_from(offset.saturating_sub(oldest)).unwrap_or_default() < FINISHED_AHEAD_MAX
        })
    }

    /// The oldest unfinished record.
    pub(crate) fn oldest(&self) -> Option<i64> {
        self.open.front().map(|(offset, _)| *offset)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Fetched, FinishedAhead, OffsetTracker};

    #[test]
    fn nothing_fetched_nothing_to_commit() {
        assert_eq!(OffsetTracker::default().watermark(), None);
    }

    #[test]
    fn record_seen_before_is_refused() {
        let mut tracker = OffsetTracker::default();
        assert_eq!(tracker.fetched(4), Fetched::New);
        assert_eq!(tracker.fetched(4), Fetched::Again);
        assert_eq!(tracker.fetched(9), Fetched::New);
    }

    #[test]
    fn offsets_without_records_are_passed_over_behind_the_last_record_and_not_before() {
        let mut tracker = OffsetTracker::default();
        assert!(!tracker.passed(4), "nothing has begun");
        tracker.begin(4, &FinishedAhead::default());
        assert!(!tracker.passed(4));
        assert!(tracker.passed(5));
        assert_eq!(tracker.watermark(), Some(5));
        tracker.fetched(5);
        assert!(!tracker.passed(7), "the record is not finished");
        assert_eq!(tracker.watermark(), Some(5));
        tracker.finished(5);
        assert_eq!(tracker.watermark(), Some(7));
        // handled again after an abort, and the same ends
        tracker.reopen([5]);
        assert_eq!(tracker.watermark(), Some(5));
        assert!(!tracker.passed(6), "an end that was told of before");
        tracker.finished(5);
        assert_eq!(tracker.watermark(), Some(7));
        assert_eq!(tracker.fetched(7), Fetched::New);
    }

    proptest! {
        #[test]
        fn watermark_never_passes_an_unfinished_record_for_any_order(
            gaps in proptest::collection::vec(1_i64..4, 1..40),
            order in proptest::collection::vec(any::<prop::sample::Index>(), 40),
        ) {
            let mut tracker = OffsetTracker::default();
            let mut offsets = Vec::new();
            let mut at = 0;
            for gap in gaps {
                at += gap;
                tracker.fetched(at);
                offsets.push(at);
            }
            let last = at;
            let mut open = offsets.clone();
            let mut before = tracker.watermark();
            for index in order {
                if open.is_empty() { break; }
                let offset = open.remove(index.index(open.len()));
                tracker.finished(offset);
                let watermark = tracker.watermark();
                prop_assert!(watermark >= before, "moves forward only");
                prop_assert_eq!(watermark, open.iter().min().copied().or(Some(last + 1)));
                before = watermark;
            }
        }

        /// A restart from any commit handles exactly what was not finished, each record once.
        #[test]
        fn restart_handles_what_was_not_finished_and_nothing_else(
            gaps in proptest::collection::vec(1_i64..4, 1..60),
            finished in proptest::collection::vec(any::<bool>(), 60),
            reopened in proptest::collection::vec(any::<bool>(), 60),
        ) {
            let mut tracker = OffsetTracker::default();
            tracker.begin(0, &FinishedAhead::default());
            let mut offsets = Vec::new();
            let mut at = 0;
            for gap in gaps {
                at += gap;
                tracker.fetched(at);
                offsets.push(at);
            }
            let mut is_open: Vec<bool> = offsets.iter().map(|_| true).collect();
            for (index, offset) in offsets.iter().enumerate() {
                if finished[index] {
                    tracker.finished(*offset);
                    is_open[index] = false;
                }
            }
            let again: Vec<i64> = (0..offsets.len())
                .filter(|index| finished[*index] && reopened[*index])
                .map(|index| { is_open[index] = true; offsets[index] })
                .collect();
            if !again.is_empty() { tracker.reopen(again); }
            let committed = tracker.watermark().unwrap();
            let metadata = tracker.finished_ahead().encode();
            let mut next = OffsetTracker::default();
            next.begin(committed, &FinishedAhead::decode(&metadata).unwrap());
            for (index, offset) in offsets.iter().enumerate().filter(|(_, o)| **o >= committed) {
                let expect = if is_open[index] { Fetched::New } else { Fetched::Finished };
                prop_assert_eq!(next.fetched(*offset), expect, "offset {}", offset);
            }
        }
    }
}
