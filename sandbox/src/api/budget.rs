//! So many requests an hour: the bank counts in fixed hours, not in a sliding window.

const HOUR_MS: i64 = 60 * 60 * 1000;

/// The requests of one token.
#[derive(Debug)]
pub struct Budget {
    limit: u32,
    hour: i64,
    used: u32,
}

impl Budget {
    /// `limit` requests in every hour of the clock.
    pub fn new(limit: u32) -> Self {
        Self { limit, hour: i64::MIN, used: 0 }
    }

    /// The limit itself.
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// Takes one request; gives how many are left in this hour, or `None` when there was none.
    pub fn take(&mut self, now: i64) -> Option<u32> {
        let hour = now.div_euclid(HOUR_MS);
        if hour != self.hour {
            (self.hour, self.used) = (hour, 0);
        }
        let left = self.limit.checked_sub(self.used)?.checked_sub(1)?;
        self.used += 1;
        Some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_comes_back_with_the_next_hour_of_the_clock() {
        let mut budget = Budget::new(2);
        assert_eq!(budget.take(HOUR_MS - 2), Some(1));
        assert_eq!(budget.take(HOUR_MS - 1), Some(0));
        assert_eq!(budget.take(HOUR_MS - 1), None);
        assert_eq!(budget.take(HOUR_MS), Some(1));
        assert_eq!(Budget::new(0).take(1), None);
    }
}
