//! When a thread that ended is made anew.

use std::time::Duration;

use crate::{record::Timestamp, task::Halt};

/// What a halt says when the group has given this instance's name to somebody else.
pub(super) const FENCED: &str = "another process has joined the group under this instance's name; give one of \
                      them another --instance (BANKSTREAM_INSTANCE)";

/// How long a new beginning counts, and how many joins there may be in that time before a fence is
/// believed.
const REJOIN_WINDOW_MS: Timestamp = 300_000;
const REJOINS_MAX: usize = 5;

/// The longest pause before a thread is made anew.
const REST_MAX: Duration = Duration::from_secs(30);

/// Which endings are answered by a new thread, as a restart of the process would answer them.
///
/// A producer that is fenced or took too long begins again as often as it takes, after a pause that
/// grows while it happens often. A member that lost its connection while it joined (a broker that
/// restarts) is fenced by its own second try, and the broker says the same of that as of a namesake.
/// So it joins again. Two processes under one name fence each other at once and again: the one that
/// has joined too often in a short time stops.
#[derive(Debug, Default)]
pub(in crate::runtime) struct Rejoins {
    joined: Vec<Timestamp>,
    begun: Vec<Timestamp>,
}

impl Rejoins {
    /// After which pause this ending is answered by beginning again, if it is; counts it.
    pub(in crate::runtime) fn allow(
        &mut self,
        ending: &Ending,
        now: Timestamp,
    ) -> Option<Duration> {
        let (counted, max) = match ending {
            Ending::Halt(halt) if halt.message == FENCED => (&mut self.joined, REJOINS_MAX),
            Ending::Halt(_) => return None,
            Ending::Again(_) => (&mut self.begun, usize::MAX),
        };
        counted.retain(|at| now.saturating_sub(*at) < REJOIN_WINDOW_MS);
        if counted.len() >= max {
            return None;
        }
        let rest = counted.len().checked_sub(1).map(|doublings| {
            let doublings = u32::try_from(doublings.min(10)).unwrap_or_default();
            Duration::from_secs(1).saturating_mul(2_u32.saturating_pow(doublings)).min(REST_MAX)
        });
        counted.push(now);
        Some(rest.unwrap_or_default())
    }
}

/// How a thread ends before it is told to.
#[derive(Debug, thiserror::Error)]
pub(in crate::runtime) enum Ending {
    /// It has to stop: nothing more is committed.
    #[error("{0}")]
    Halt(Halt),
    /// It has to be made anew, and begin from what is committed.
    #[error("{0}")]
    Again(String),
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Ending, FENCED, Halt, REJOIN_WINDOW_MS, REJOINS_MAX, Rejoins};

    fn halt(message: &str) -> Ending {
        let (place, message) = ("app/consumer".to_owned(), message.to_owned());
        Ending::Halt(Halt { place, position: None, message })
    }

    #[test]
    fn a_fenced_instance_joins_again_but_not_without_end() {
        let mut rejoins = Rejoins::default();
        for _ in 0..REJOINS_MAX {
            assert!(rejoins.allow(&halt(FENCED), 1_000).is_some());
        }
        assert_eq!(rejoins.allow(&halt(FENCED), 1_000), None, "a namesake, then");
        let later = 1_000 + REJOIN_WINDOW_MS;
        assert_eq!(rejoins.allow(&halt(FENCED), later), Some(Duration::ZERO), "long ago is over");
    }

    #[test]
    fn a_lost_producer_begins_again_at_once_then_ever_later_and_without_end() {
        let mut rejoins = Rejoins::default();
        let lost = Ending::Again("fenced".to_owned());
        let mut rests = Vec::new();
        for _ in 0..20 {
            rests.push(rejoins.allow(&lost, 1_000).expect("it begins again").as_secs());
        }
        assert_eq!(rests.get(..8), Some(&[0, 1, 2, 4, 8, 16, 30, 30][..]));
        assert_eq!(rests.last(), Some(&30));
        let later = 1_000 + REJOIN_WINDOW_MS;
        assert_eq!(rejoins.allow(&lost, later), Some(Duration::ZERO), "long ago is over");
    }

    #[test]
    fn no_other_halt_is_passed_over() {
        assert_eq!(Rejoins::default().allow(&halt("the token is refused"), 1_000), None);
    }
}
