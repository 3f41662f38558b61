//! How often and how long.

use std::time::Duration;

use crate::disposition::Retry;

/// Bounds of repeated tries, the same for every processor of an application
/// ([`Application::retry`](crate::Application::retry)). Unless set: 10 tries, 200 ms before the second, doubling
/// up to 30 s, each wait shortened at random by up to half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Counted tries, the first included, after which a record is given up.
    pub attempts_max: u32,
    /// Wait before the second try; doubles from there.
    pub backoff_base: Duration,
    /// Longest wait by backoff.
    pub backoff_max: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts_max: 10,
            backoff_base: Duration::from_millis(200),
            backoff_max: Duration::from_secs(30),
        }
    }
}

impl RetryPolicy {
    /// Milliseconds to wait before the next try: the other side's wish, or the backoff of
    /// `attempts` tries with up to half of it taken off at random so that many do not come at once.
    pub(crate) fn delay_ms(&self, retry: Retry, attempts: u32, rng: &mut fastrand::Rng) -> i64 {
        let doublings = attempts.saturating_sub(1).min(30);
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        let backoff = self.backoff_base.saturating_mul(factor).min(self.backoff_max);
        let backoff_ms = u64::try_from(backoff.as_millis()).unwrap_or(u64::MAX);
        let jittered_ms = backoff_ms.saturating_sub(rng.u64(0..=backoff_ms / 2));
        let asked_ms =
            retry.after.map_or(0, |after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX));
        i64::try_from(if retry.after.is_some() { asked_ms } else { jittered_ms })
            .unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::RetryPolicy;
    use crate::disposition::Retry;

    #[test]
    fn backoff_doubles_up_to_its_bound_and_loses_at_most_half() {
        let policy = RetryPolicy::default();
        let mut rng = fastrand::Rng::with_seed(1);
        let retry = Retry { after: None, is_counted: true };
        for (attempts, full) in [(1, 200), (2, 400), (3, 800), (9, 30_000), (200, 30_000)] {
            let delay = policy.delay_ms(retry, attempts, &mut rng);
            assert!((full / 2..=full).contains(&delay), "{attempts}: {delay}");
        }
    }

    #[test]
    fn wish_of_the_other_side_is_taken_as_it_is() {
        let retry = Retry { after: Some(Duration::from_secs(90)), is_counted: true };
        let mut rng = fastrand::Rng::with_seed(1);
        assert_eq!(RetryPolicy::default().delay_ms(retry, 1, &mut rng), 90_000);
    }
}
