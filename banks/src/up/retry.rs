//! When to ask again.

use std::time::Duration;

/// How often and how fast a failed request is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Requests in all, the first included. Each costs one of the hour's budget.
    pub attempts_max: u32,
    /// Longest pause after the first failure; doubles with each one.
    pub base: Duration,
    /// Longest pause of all; a bank that asks for more gets it from the caller, not from here.
    pub cap: Duration,
}

impl Default for RetryPolicy {
    /// Three requests within a few seconds: enough for a dropped connection or a restarting server.
    /// What takes longer is for the caller, who can make it visible.
    fn default() -> Self {
        Self { attempts_max: 3, base: Duration::from_millis(300), cap: Duration::from_secs(5) }
    }
}

impl RetryPolicy {
    /// The pause after failure number `failures`, or none when the caller must decide. A pause that
    /// the bank asked for is kept to; ours is random, so that many clients do not return together.
    pub(super) fn pause(&self, failures: u32, retry_after: Option<Duration>) -> Option<Duration> {
        if failures >= self.attempts_max {
            return None;
        }
        match retry_after {
            Some(asked) => (asked <= self.cap).then_some(asked),
            None => Some(self.jittered(failures)),
        }
    }

    fn jittered(&self, failures: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
        let longest = self.base.saturating_mul(doubled).min(self.cap);
        let longest_ms = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(fastrand::u64(longest_ms / 2..=longest_ms))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::RetryPolicy;

    #[test]
    fn pauses_double_up_to_the_cap_and_end_with_the_attempts() {
        let policy = RetryPolicy {
            attempts_max: 6,
            base: Duration::from_millis(100),
            cap: Duration::from_millis(500),
        };
        for (failures, longest) in [(1, 100), (2, 200), (3, 400), (4, 500), (5, 500)] {
            for _ in 0..50 {
                let pause = policy.pause(failures, None).unwrap();
                let longest = Duration::from_millis(longest);
                assert!(pause <= longest && pause >= longest / 2, "{failures}: {pause:?}");
            }
        }
        assert_eq!(policy.pause(6, None), None);
    }

    #[test]
    fn a_pause_the_bank_asks_for_is_kept_or_left_to_the_caller() {
        let policy = RetryPolicy::default();
        let short = Duration::from_secs(2);
        assert_eq!(policy.pause(1, Some(short)), Some(short));
        assert_eq!(policy.pause(1, Some(Duration::from_mins(1))), None);
    }
}
