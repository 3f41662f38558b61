//! How many requests the bank still takes in this hour.
//!
//! Up takes 1000 requests an hour for one token, in fixed buckets that start with the clock hour,
//! and says in `X-RateLimit-Remaining` how many are left. Other processes use the same token, so the
//! bank's number is believed over our own count; between two answers we count ourselves.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::BankError;

/// Requests the bank takes in one clock hour.
pub const REQUESTS_PER_HOUR: u32 = 1000;

/// Background callers stop when this many are left: live events must never wait for a backfill,
/// also when both run in different processes.
pub const BACKGROUND_FLOOR: u32 = 300;

const HOUR_MS: i64 = 3_600_000;

/// How far the bank's clock may be from ours. What is learned in an hour's first minute may be about
/// the bank's last hour, so it is forgotten at the minute's end.
const SKEW_MS: i64 = 60_000;

/// Added to every wait, so that the first request after it is not the last of the old hour.
const RESET_MARGIN: Duration = Duration::from_secs(1);

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// An event that somebody waits for: may use the hour's last request.
    Live,
    /// Polls, backfills, snapshots: stop at [`BACKGROUND_FLOOR`].
    Background,
}

impl Priority {
    fn floor(self) -> u32 {
        match self {
            Self::Live => 0,
            Self::Background => BACKGROUND_FLOOR,
        }
    }
}

/// What is left, for a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetState {
    /// Requests left in this hour, as far as we know.
    pub remaining: u32,
    /// Requests that are under way.
    pub in_flight: u32,
    /// When the number starts again, milliseconds since the epoch.
    pub resets_at: i64,
}

/// One token's requests of the hour, shared by every client of that token.
#[derive(Debug)]
pub struct Budget {
    state: Mutex<BudgetState>,
}

impl Default for Budget {
    fn default() -> Self {
        Self::new()
    }
}

impl Budget {
    /// A full hour; the first answer corrects it.
    pub fn new() -> Self {
        let state = BudgetState { remaining: REQUESTS_PER_HOUR, in_flight: 0, resets_at: i64::MIN };
        Self { state: Mutex::new(state) }
    }

    /// What is left at `now` (milliseconds since the epoch).
    pub fn state(&self, now: i64) -> BudgetState {
        *self.at(now)
    }

    /// Takes one request, or says when to come back.
    pub(crate) fn reserve(&self, priority: Priority, now: i64) -> Result<Permit<'_>, BankError> {
        let mut state = self.at(now);
        if state.remaining <= priority.floor() {
            return Err(refusal(state.resets_at, now));
        }
        state.remaining -= 1;
        state.in_flight += 1;
        Ok(Permit { budget: self })
    }

    /// The bank refused a request because the hour is used up.
    pub(crate) fn exhausted(&self, now: i64) -> BankError {
        let mut state = self.at(now);
        state.remaining = 0;
        refusal(state.resets_at, now)
    }

    fn at(&self, now: i64) -> MutexGuard<'_, BudgetState> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if now >= state.resets_at {
            state.remaining = REQUESTS_PER_HOUR;
            state.resets_at = window_end(now);
        }
        state
    }
}

/// A request that was counted. Dropped when its answer is there or given up.
#[derive(Debug)]
pub(crate) struct Permit<'a> {
    budget: &'a Budget,
}

impl Permit<'_> {
    /// Takes the bank's own number. Requests still under way may not be in it yet.
    pub(crate) fn answered(&self, remaining: u32, now: i64) {
        let mut state = self.budget.at(now);
        let others = state.in_flight.saturating_sub(1);
        state.remaining = remaining.saturating_sub(others);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut state = self.budget.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.in_flight = state.in_flight.saturating_sub(1);
    }
}

fn window_end(now: i64) -> i64 {
    let hour = now.saturating_sub(now.rem_euclid(HOUR_MS));
    let length = if now.saturating_sub(hour) < SKEW_MS { SKEW_MS } else { HOUR_MS };
    hour.saturating_add(length)
}

fn refusal(reset_at: i64, now: i64) -> BankError {
    let ms = u64::try_from(reset_at.saturating_sub(now)).unwrap_or(0);
    BankError::RateLimited { reset_at, wait: Duration::from_millis(ms) + RESET_MARGIN }
}

#[cfg(test)]
mod tests {
    use super::{BACKGROUND_FLOOR, Budget, HOUR_MS, Priority, REQUESTS_PER_HOUR, SKEW_MS};
    use crate::error::BankError;

    const HOUR: i64 = 500_000 * HOUR_MS;
    const MID: i64 = HOUR + HOUR_MS / 2;

    #[track_caller]
    fn refused_until(budget: &Budget, priority: Priority, now: i64) -> Option<i64> {
        match budget.reserve(priority, now) {
            Ok(_permit) => None,
            Err(BankError::RateLimited { reset_at, .. }) => Some(reset_at),
            Err(other) => panic!("unexpected {other}"),
        }
    }

    fn learn(budget: &Budget, remaining: u32, now: i64) {
        budget.reserve(Priority::Live, now).unwrap().answered(remaining, now);
    }

    #[test]
    fn we_count_ourselves_where_the_bank_says_nothing() {
        let budget = Budget::new();
        for _ in 0..REQUESTS_PER_HOUR {
            assert_eq!(refused_until(&budget, Priority::Live, MID), None);
        }
        assert_eq!(refused_until(&budget, Priority::Live, MID), Some(HOUR + HOUR_MS));
        assert_eq!(refused_until(&budget, Priority::Live, HOUR + HOUR_MS), None);
    }

    #[test]
    fn the_banks_number_wins_less_what_is_under_way() {
        let budget = Budget::new();
        let first = budget.reserve(Priority::Live, MID).unwrap();
        let _second = budget.reserve(Priority::Live, MID).unwrap();
        first.answered(500, MID);
        assert_eq!(budget.state(MID).remaining, 499);
        drop(first);
        assert_eq!(budget.state(MID).in_flight, 1);
    }

    #[test]
    fn background_callers_leave_the_floor_to_live_ones() {
        let budget = Budget::new();
        learn(&budget, BACKGROUND_FLOOR, MID);
        assert_eq!(refused_until(&budget, Priority::Background, MID), Some(HOUR + HOUR_MS));
        assert_eq!(refused_until(&budget, Priority::Live, MID), None);
    }

    #[test]
    fn a_refusal_of_the_bank_closes_the_hour() {
        let budget = Budget::new();
        let refused = budget.exhausted(MID);
        assert!(
            matches!(refused, BankError::RateLimited { reset_at, .. } if reset_at == HOUR + HOUR_MS)
        );
        assert_eq!(refused_until(&budget, Priority::Live, MID), Some(HOUR + HOUR_MS));
    }

    #[test]
    fn what_the_old_hour_says_in_the_new_ones_first_minute_is_forgotten() {
        let budget = Budget::new();
        let early = HOUR + 5_000;
        budget.exhausted(early);
        assert_eq!(refused_until(&budget, Priority::Live, early), Some(HOUR + SKEW_MS));
        assert_eq!(refused_until(&budget, Priority::Live, HOUR + SKEW_MS), None);
        assert_eq!(budget.state(HOUR + SKEW_MS).resets_at, HOUR + HOUR_MS);
    }
}
