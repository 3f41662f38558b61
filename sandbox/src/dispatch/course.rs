//! How one event travels.

use fastrand::Rng;
use serde::Deserialize;

use crate::faults::Faults;
use crate::ids::strikes;

/// A duplicate follows its original within this time, so that both are often in flight together.
const DUPLICATE_WITHIN_MS: u64 = 400;

/// Who decides how an event travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Course {
    /// The faults in force.
    #[default]
    Faults,
    /// Straight to its webhook.
    Clean,
    /// Never sent.
    Lost,
    /// Sent twice.
    Duplicate,
    /// Sent late.
    Late,
    /// Sent, together with a forged one.
    Forged,
}

/// What keeps an event back before its first attempt, and for how many milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Delay {
    /// Nothing.
    #[default]
    None,
    /// Others are to overtake it.
    Reordered(u64),
    /// It is late.
    Late(u64),
}

impl Delay {
    /// In milliseconds.
    pub fn ms(self) -> u64 {
        match self {
            Self::None => 0,
            Self::Reordered(ms) | Self::Late(ms) => ms,
        }
    }
}

/// The decision for one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Plan {
    /// Not sent at all.
    pub lost: bool,
    /// Before the first attempt.
    pub delay: Delay,
    /// Milliseconds before the second copy, if there is one.
    pub duplicate_after_ms: Option<u64>,
    /// A forged event travels along.
    pub forged: bool,
}

impl Course {
    /// Decides, drawing from `rng` what the faults leave to chance.
    pub fn plan(self, faults: &Faults, rng: &mut Rng) -> Plan {
        let by_faults = self == Self::Faults;
        let mut chance = |percent| by_faults && strikes(rng, percent);
        let lost = chance(faults.lost_percent) || self == Self::Lost;
        let late = chance(faults.late_percent) || self == Self::Late;
        let reordered = chance(faults.reorder_percent);
        let twice = chance(faults.duplicate_percent) || self == Self::Duplicate;
        let forged = chance(faults.forged_percent) || self == Self::Forged;
        let delay = match (late, reordered) {
            (true, _) => Delay::Late(faults.late_ms),
            (false, true) => Delay::Reordered(rng.u64(0..=faults.reorder_window_ms)),
            (false, false) => Delay::None,
        };
        let after = |rng: &mut Rng| delay.ms().saturating_add(rng.u64(0..=DUPLICATE_WITHIN_MS));
        Plan { lost, delay, duplicate_after_ms: twice.then(|| after(rng)), forged }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Purpose, generator};

    #[test]
    fn a_named_course_does_not_ask_the_faults() {
        let faults = Faults { lost_percent: 100, late_ms: 70, ..Faults::default() };
        let plan = |course: Course| course.plan(&faults, &mut generator(1, Purpose::Faults));
        assert_eq!(plan(Course::Clean), Plan::default());
        assert!(plan(Course::Faults).lost && plan(Course::Lost).lost);
        assert_eq!(plan(Course::Late).delay, Delay::Late(70));
        assert!(plan(Course::Duplicate).duplicate_after_ms.is_some());
        assert!(plan(Course::Forged).forged);
    }
}
