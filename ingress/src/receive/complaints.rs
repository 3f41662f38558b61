//! The log's lines about rejected requests: a flood of the ones is no flood of the others.

use std::sync::{Mutex, PoisonError};

/// Lines that a source may have in a second. All rejections are counted (`webhook_rejected_total`).
const LINES_A_SECOND: u32 = 10;

const SECOND_MS: i64 = 1_000;

/// What was said of one source's rejected requests in this second.
#[derive(Debug, Default)]
pub struct Complaints(Mutex<Said>);

#[derive(Debug, Default)]
struct Said {
    /// When the second began.
    since_ms: i64,
    lines: u32,
    unsaid: u64,
}

impl Complaints {
    /// Whether the log may have a line at `now`, milliseconds since the epoch: then how many
    /// rejections before this one had none.
    pub(super) fn may_say(&self, now: i64) -> Option<u64> {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = now.saturating_sub(said.since_ms);
        // A clock that was set back begins anew, too.
        if !(0..SECOND_MS).contains(&passed) {
            said.since_ms = now;
            said.lines = 0;
        }
        if said.lines >= LINES_A_SECOND {
            said.unsaid = said.unsaid.saturating_add(1);
            return None;
        }
        said.lines += 1;
        Some(std::mem::take(&mut said.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::{Complaints, LINES_A_SECOND, SECOND_MS};

    #[test]
    fn a_second_has_its_lines_and_the_next_says_how_many_had_none() {
        let complaints = Complaints::default();
        let said = |now: i64, rejections: u32| -> Vec<u64> {
            (0..rejections).filter_map(|_| complaints.may_say(now)).collect()
        };
        let lines = usize::try_from(LINES_A_SECOND).unwrap();
        assert_eq!(said(1_000_000, LINES_A_SECOND), vec![0; lines]);
        assert_eq!(said(1_000_000 + SECOND_MS - 1, 25), [0; 0]);
        assert_eq!(said(1_000_000 + SECOND_MS, 2), [25, 0]);
    }

    #[test]
    fn a_clock_that_is_set_back_silences_nobody() {
        let complaints = Complaints::default();
        for _ in 0..=LINES_A_SECOND {
            complaints.may_say(5_000_000);
        }
        assert_eq!(complaints.may_say(4_000_000), Some(1));
    }
}
