//! How far a restore is, for the log, the metrics and `/readyz`.

use crate::record::Timestamp;

/// How often the restore of a task is told of: seldom enough for a log, often enough for who waits.
const SAY_EVERY_MS: Timestamp = 5_000;

/// How the restore of one task goes.
#[derive(Debug)]
pub(in crate::runtime) struct Pace {
    began_at: Timestamp,
    said_at: Timestamp,
    changes: usize,
    left: Option<i64>,
    waits: Option<String>,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::runtime) struct Reached {
    /// Changes restored so far.
    pub(in crate::runtime) changes: usize,
    /// Offsets of its changelogs that are still to be read.
    pub(in crate::runtime) left: i64,
    /// Whole seconds since it began.
    pub(in crate::runtime) seconds: i64,
}

impl Pace {
    pub(in crate::runtime) fn new(now: Timestamp) -> Self {
        Self { began_at: now, said_at: now, changes: 0, left: None, waits: None }
    }

    /// Changes restored so far.
    pub(in crate::runtime) fn changes(&self) -> usize {
        self.changes
    }

    /// Offsets that are still to be read; `None` before that is known.
    pub(in crate::runtime) fn left(&self) -> Option<i64> {
        self.left
    }

    /// Why nothing comes at the moment, if nothing does.
    pub(in crate::runtime) fn waits(&self) -> Option<&str> {
        self.waits.as_deref()
    }

    /// Nothing comes, for this reason; until more does.
    pub(in crate::runtime) fn wait(&mut self, reason: String) {
        self.waits = Some(reason);
    }

    /// So many changes more are restored. How far that is, when it is time to say so.
    pub(in crate::runtime) fn more(
        &mut self,
        changes: usize,
        left: i64,
        now: Timestamp,
    ) -> Option<Reached> {
        self.changes = self.changes.saturating_add(changes);
        (self.left, self.waits) = (Some(left), None);
        // A clock that stepped back says it at once and goes on from there.
        if (self.said_at..self.said_at.saturating_add(SAY_EVERY_MS)).contains(&now) {
            return None;
        }
        self.said_at = now;
        let seconds = now.saturating_sub(self.began_at) / 1_000;
        Some(Reached { changes: self.changes, left, seconds })
    }
}

#[cfg(test)]
mod tests {
    use super::{Pace, Reached};

    #[test]
    fn a_restore_says_every_five_seconds_how_far_it_is() {
        let mut pace = Pace::new(1_000);
        assert_eq!(pace.more(2_000, 9_000, 1_500), None);
        assert_eq!(pace.more(2_000, 7_000, 5_999), None);
        let reached = Reached { changes: 6_000, left: 5_000, seconds: 5 };
        assert_eq!(pace.more(2_000, 5_000, 6_000), Some(reached));
        assert_eq!(pace.more(2_000, 3_000, 10_999), None);
        let reached = Reached { changes: 10_000, left: 1_000, seconds: 10 };
        assert_eq!(pace.more(2_000, 1_000, 11_000), Some(reached));
    }

    #[test]
    fn a_restore_that_waits_says_why_until_it_goes_on() {
        let mut pace = Pace::new(1_000);
        assert_eq!((pace.changes(), pace.left(), pace.waits()), (0, None, None));
        pace.wait("an open transaction".to_owned());
        assert_eq!(pace.waits(), Some("an open transaction"));
        pace.more(2_000, 9_000, 1_500);
        assert_eq!((pace.changes(), pace.left(), pace.waits()), (2_000, Some(9_000), None));
    }
}
