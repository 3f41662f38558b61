//! A process that slept for longer than its session: others have its partitions, and it goes on.

use super::{COMMIT_MS, Planted, Story, Transaction, transactions::Open};

/// Steps after which it has learned what has become of its transaction.
const STEPS_MAX: u32 = 1_000;

impl Story {
    /// The transactional tasks have successors, which have restored, when the sleeper wakes up: it
    /// punctuates and commits what it has, before it hears of the rebalance.
    ///
    /// While a commit is under way the successors would wait for it, so that is not when it happens.
    pub(super) fn oversleep(&mut self) {
        if !self.transaction.may_give_up() {
            return;
        }
        self.trace.push(format!("a process oversleeps at {} ms", self.now));
        self.crashes += 1;
        let mut sleepers = Vec::new();
        for which in 0..self.running.len() {
            if !self.running[which].task.is_transactional() {
                continue;
            }
            let (sub, partition) = (self.running[which].sub, self.running[which].partition);
            let successor = self.make(sub, partition);
            sleepers.push(std::mem::replace(&mut self.running[which], successor));
        }
        let successors = std::mem::replace(&mut self.running, sleepers);
        self.open.is_stale = true;
        self.open.spares_unmoved = self.planted == Planted::PunctuatesUnasked;
        self.now += self.rng.i64(0..400);
        for which in 0..self.running.len() {
            self.pump(which);
        }
        for _ in 0..STEPS_MAX {
            self.transaction.hurry(self.now);
            self.transact();
            if self.transaction.is_idle() {
                break;
            }
        }
        assert!(self.transaction.is_idle(), "a process that overslept never came to rest");
        self.running = successors;
        self.transaction = Transaction::new(COMMIT_MS, self.now);
        self.open = Open::default();
    }
}
