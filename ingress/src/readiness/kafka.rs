//! Whether Kafka acknowledges: told by the records that are sent, and by a probe where there are none.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Stopwatch;

/// So long nothing may be acknowledged although something waits: longer than a partition takes to find
/// another leader, so that a broker's restart in order turns no replica away.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// So long after the last record that was not acknowledged a probe alone is not believed: a broker may
/// answer and take nothing (too few replicas in sync). After that records are let try again, as no load
/// balancer brings any to who is not ready.
const DOUBT_LASTS: Duration = Duration::from_secs(10);

/// What is known of Kafka's acknowledgements. Times are measured from its making.
#[derive(Debug)]
pub(crate) struct Acknowledgements {
    clock: Stopwatch,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// Records that wait or have failed, with none acknowledged since the first of them.
    records: Option<Unanswered>,
    /// When the first of the probes began that have all failed.
    probes: Option<Duration>,
    acknowledged_at: Option<Duration>,
    /// What failed last.
    why: String,
}

#[derive(Debug)]
struct Unanswered {
    since: Duration,
    last: Duration,
}

/// Kafka acknowledges nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Silence {
    lasts: Duration,
    why: String,
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kafka, which has not acknowledged anything for {} s", self.lasts.as_secs())?;
        if self.why.is_empty() { Ok(()) } else { write!(f, ": {}", self.why) }
    }
}

impl Default for Acknowledgements {
    fn default() -> Self {
        Self { clock: Stopwatch::start(), known: Mutex::default() }
    }
}

impl Acknowledgements {
    /// A record was handed to the producer.
    pub(crate) fn waits(&self) {
        self.lock().waits(self.clock.elapsed());
    }

    /// A record was acknowledged.
    pub(crate) fn acknowledged(&self) {
        self.lock().acknowledged(self.clock.elapsed());
    }

    /// A record was not, or the producer did not even take it.
    pub(crate) fn failed(&self, why: &dyn fmt::Display) {
        self.lock().failed(self.clock.elapsed(), why.to_string());
    }

    /// What came of a probe that took so long.
    pub(super) fn probed(&self, took: Duration, answer: Result<(), String>) {
        self.lock().probed(self.clock.elapsed(), took, answer);
    }

    /// Whether a record was acknowledged within the last `time`: then there is nothing to probe.
    pub(super) fn is_fresh(&self, time: Duration) -> bool {
        let at = self.lock().acknowledged_at;
        at.is_some_and(|at| self.clock.elapsed().saturating_sub(at) < time)
    }

    /// Whether Kafka is silent for longer than it may be.
    pub(crate) fn silence(&self) -> Option<Silence> {
        self.lock().silence(self.clock.elapsed())
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn waits(&mut self, now: Duration) {
        let since = self.records.as_ref().map_or(now, |records| records.since);
        self.records = Some(Unanswered { since, last: now });
    }

    fn acknowledged(&mut self, now: Duration) {
        (self.records, self.probes) = (None, None);
        self.acknowledged_at = Some(now);
        self.why.clear();
    }

    fn failed(&mut self, now: Duration, why: String) {
        self.waits(now);
        self.why = why;
    }

    fn probed(&mut self, now: Duration, took: Duration, answer: Result<(), String>) {
        if let Err(why) = answer {
            self.probes.get_or_insert(now.saturating_sub(took));
            self.why = why;
            return;
        }
        self.probes = None;
        self.records.take_if(|records| now.saturating_sub(records.last) >= DOUBT_LASTS);
        if self.records.is_none() {
            self.why.clear();
        }
    }

    fn silence(&self, now: Duration) -> Option<Silence> {
        let records = self.records.as_ref().map(|records| records.since);
        let since = [records, self.probes].into_iter().flatten().min()?;
        let lasts = now.saturating_sub(since);
        (lasts > SILENCE_MAX).then(|| Silence { lasts, why: self.why.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[track_caller]
    fn check(known: &Known, now: u64, expect: Option<&str>) {
        let said = known.silence(s(now)).map(|silence| silence.to_string());
        let expect =
            expect.map(|it| format!("Kafka, which has not acknowledged anything for {it}"));
        assert_eq!(said, expect, "at {now} s");
    }

    fn refused() -> Result<(), String> {
        Err("no broker answers".to_owned())
    }

    #[test]
    fn records_that_wait_in_vain_are_a_silence_until_one_is_acknowledged() {
        let mut known = Known::default();
        known.waits(s(0));
        known.waits(s(4));
        check(&known, 5, None);
        check(&known, 6, Some("6 s"));
        known.failed(s(9), "timed out".to_owned());
        check(&known, 9, Some("9 s: timed out"));
        known.acknowledged(s(10));
        check(&known, 60, None);
        // One alone that fails, with none behind it.
        known.failed(s(60), "timed out".to_owned());
        check(&known, 66, Some("6 s: timed out"));
        // Of many the slowest says nothing as long as others are acknowledged.
        for now in 70..90 {
            known.waits(s(now));
            known.failed(s(now), "timed out".to_owned());
            known.acknowledged(s(now));
            check(&known, now + 1, None);
        }
    }

    #[test]
    fn without_records_a_probe_says_it() {
        let mut known = Known::default();
        known.probed(s(3), s(3), refused());
        check(&known, 5, None);
        check(&known, 6, Some("6 s: no broker answers"));
        known.probed(s(9), s(3), refused());
        check(&known, 9, Some("9 s: no broker answers"));
        known.probed(s(10), s(0), Ok(()));
        check(&known, 60, None);
        // A broker that is away for a moment turns nobody away.
        known.probed(s(63), s(3), refused());
        known.probed(s(64), s(0), Ok(()));
        check(&known, 90, None);
    }

    #[test]
    fn a_broker_that_answers_and_takes_nothing_is_not_believed_until_records_had_a_pause() {
        let mut known = Known::default();
        known.waits(s(0));
        for now in [3, 6, 9] {
            known.probed(s(now), s(0), Ok(()));
        }
        known.failed(s(9), "not enough replicas".to_owned());
        for now in [12, 15, 18] {
            known.probed(s(now), s(0), Ok(()));
            check(&known, now, Some(&format!("{now} s: not enough replicas")));
        }
        // Nobody sent anything for ten seconds: let them try.
        known.probed(s(19), s(0), Ok(()));
        check(&known, 25, None);
        known.waits(s(30));
        check(&known, 36, Some("6 s"));
    }
}
