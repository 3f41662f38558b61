//! The pipeline and the bank at one moment.
use super::{Lost, Received, Summary, Totals};
use crate::pipeline::{Event, Truth};

/// What one look at everything shows.
#[derive(Debug)]
pub struct Look {
    /// What passed on the topics.
    pub totals: Totals,
    /// What the ingress made of requests.
    pub received: Received,
    /// What the bank has.
    pub truth: Truth,
    /// Whether the bank has nothing on its way and no day running.
    pub is_bank_quiet: bool,
    /// Records that the apps have still to read.
    pub lag: i64,
}

impl Look {
    /// Whether nothing moves any more: the bank is quiet, everything is read, every account is judged,
    /// every post has its outcome.
    pub fn is_at_rest(&self) -> bool {
        let is_judged = |id: &String| {
            self.totals.balances.get(id).is_some_and(|balance| balance.status != "timing")
        };
        self.is_bank_quiet
            && self.lag == 0
            && self.totals.published.len() >= self.totals.requested.len()
            && self.truth.accounts.iter().all(|account| is_judged(&account.id))
    }

    /// What it came to, beside the bank's `events`.
    pub fn summary(self, events: &[Event], lost: Option<Lost>) -> Summary {
        Summary::new(&self.truth, events, &self.totals, self.received, lost, self.lag)
    }
}
