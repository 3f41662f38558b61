//! Which records of a partition are finished.

use std::collections::VecDeque;

/// Follows the records of one partition from fetch to finish, in any order of finishing.
#[derive(Debug, Default)]
pub(crate) struct OffsetTracker {
    /// Fetched, in offset order; a finished one leaves when everything before it has.
    open: VecDeque<(i64, bool)>,
    /// One past the last record fetched.
    next: Option<i64>,
}

impl OffsetTracker {
    /// A record was fetched. Offsets only grow; gaps (compaction, markers) are normal. A record
    /// that was fetched before is refused with `false`.
    pub(crate) fn fetched(&mut self, offset: i64) -> bool {
        if self.next.is_some_and(|next| offset < next) {
            return false;
        }
        self.open.push_back((offset, false));
        self.next = Some(offset.saturating_add(1));
        true
    }

    /// A record is finished.
    pub(crate) fn finished(&mut self, offset: i64) {
        if let Ok(index) = self.open.binary_search_by_key(&offset, |(offset, _)| *offset)
            && let Some((_, is_done)) = self.open.get_mut(index)
        {
            *is_done = true;
        }
        while self.open.front().is_some_and(|(_, is_done)| *is_done) {
            self.open.pop_front();
        }
    }

    /// The offset that may be committed: everything below it is finished. `None` before the first
    /// record.
    pub(crate) fn watermark(&self) -> Option<i64> {
        self.open.front().map_or(self.next, |(offset, _)| Some(*offset))
    }

    /// From the oldest unfinished record to the newest fetched one.
    pub(crate) fn span(&self) -> usize {
        self.open.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::OffsetTracker;

    #[test]
    fn nothing_fetched_nothing_to_commit() {
        assert_eq!(OffsetTracker::default().watermark(), None);
    }

    #[test]
    fn record_seen_before_is_refused() {
        let mut tracker = OffsetTracker::default();
        assert!(tracker.fetched(4));
        assert!(!tracker.fetched(4));
        assert!(tracker.fetched(9));
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
    }
}
