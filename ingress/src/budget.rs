//! How many bytes of bodies there are at once, over all requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Bytes that all bodies in flight may take together.
#[derive(Clone, Debug)]
pub struct Budget {
    max: usize,
    taken: Arc<AtomicUsize>,
}

impl Budget {
    /// A budget of `max` bytes, all of it free.
    pub fn new(max: usize) -> Self {
        Self { max, taken: Arc::default() }
    }

    /// A share of it, of nothing yet.
    pub fn share(&self) -> Share<'_> {
        Share { budget: self, bytes: 0 }
    }
}

/// What one request has taken; dropping it gives that back.
#[derive(Debug)]
pub struct Share<'a> {
    budget: &'a Budget,
    bytes: usize,
}

impl Share<'_> {
    /// Takes more bytes, that have arrived and not only been announced; false when there are none.
    pub fn grow(&mut self, bytes: usize) -> bool {
        let before = self.budget.taken.fetch_add(bytes, Relaxed);
        if before.saturating_add(bytes) > self.budget.max {
            self.budget.taken.fetch_sub(bytes, Relaxed);
            return false;
        }
        self.bytes = self.bytes.saturating_add(bytes);
        true
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.budget.taken.fetch_sub(self.bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_together_keep_within_the_budget_and_give_back_what_they_took() {
        let budget = Budget::new(10);
        let (mut a, mut b) = (budget.share(), budget.share());
        assert!(a.grow(6) && b.grow(4));
        assert!(!b.grow(1), "nothing is left");
        drop(a);
        assert!(b.grow(6));
        drop(b);
        assert_eq!(budget.taken.load(Relaxed), 0);
    }
}
