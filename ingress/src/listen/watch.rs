//! Looks after all connections at once: which of them miss a deadline, and when all must end.
//!
//! One clock for all of them. A connection that asked its own timer, and whether to stop, would do so
//! each time that it is woken, which is several times a request.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Limits;
use super::pulse::{Order, Pulse};
use crate::metrics::ConnectionMetrics;

/// How often connections are looked at: the longest lateness of a timeout, and long enough to cost
/// nothing.
const PERIOD_MAX: Duration = Duration::from_secs(1);

/// The connections that are open, and some that were until the last look.
#[derive(Debug)]
pub(super) struct Watch {
    period: Duration,
    metrics: ConnectionMetrics,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    pulses: Vec<Weak<Pulse>>,
    is_ending: bool,
}

impl Watch {
    pub(super) fn new(limits: &Limits, metrics: ConnectionMetrics) -> Self {
        let shortest = limits.head_timeout.min(limits.idle_timeout) / 4;
        let period = shortest.clamp(Duration::from_millis(1), PERIOD_MAX);
        Self { period, metrics, open: Mutex::default() }
    }

    /// Looks after another connection, for as long as its pulse is there.
    pub(super) fn add(&self, pulse: &Arc<Pulse>) {
        let mut open = self.lock();
        open.pulses.push(Arc::downgrade(pulse));
        if open.is_ending {
            pulse.tell(Order::Leave);
        }
    }

    /// Looks at all of them again and again; from `stop` on each has to end when it has finished what
    /// it had begun. Never returns.
    pub(super) async fn run(&self, stop: &CancellationToken) {
        let mut ticks = tokio::time::interval(self.period);
        let mut is_ending = false;
        loop {
            tokio::select! {
                () = stop.cancelled(), if !is_ending => {
                    is_ending = true;
                    self.end();
                }
                _ = ticks.tick() => self.look(),
            }
        }
    }

    fn end(&self) {
        let mut open = self.lock();
        open.is_ending = true;
        for pulse in open.pulses.iter().filter_map(Weak::upgrade) {
            if pulse.order() == Order::Stay {
                pulse.tell(Order::Leave);
            }
        }
    }

    fn look(&self) {
        self.lock().pulses.retain(|pulse| {
            let Some(pulse) = pulse.upgrade() else { return false };
            if pulse.is_overdue() {
                self.late(&pulse);
            }
            true
        });
    }

    /// HTTP/2 is told; by the next look it has had its time.
    fn late(&self, pulse: &Pulse) {
        match pulse.order() {
            Order::Stay => {
                self.metrics.timed_out.inc();
                pulse.tell(Order::Leave);
            }
            Order::Leave => pulse.tell(Order::Cut),
            Order::Cut => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    fn watch(limits: &Limits) -> Watch {
        Watch::new(limits, Metrics::new().unwrap().connections)
    }

    #[test]
    fn a_connection_that_comes_after_the_stop_is_told_to_leave() {
        let limits = crate::testing::limits();
        let watch = watch(&limits);
        let [before, after] =
            [(); 2].map(|()| Pulse::new(limits.head_timeout, limits.idle_timeout));
        watch.add(&before);
        assert_eq!(before.order(), Order::Stay);
        watch.end();
        watch.add(&after);
        assert_eq!((before.order(), after.order()), (Order::Leave, Order::Leave));
    }

    #[test]
    fn a_late_connection_is_told_to_leave_then_cut_and_forgotten_when_it_is_gone() {
        let none = Duration::ZERO;
        let limits = Limits { head_timeout: none, idle_timeout: none, ..crate::testing::limits() };
        let watch = watch(&limits);
        let pulse = Pulse::new(none, none);
        watch.add(&pulse);
        while !pulse.is_overdue() {
            std::thread::yield_now();
        }
        let orders = [(); 3].map(|()| {
            watch.look();
            pulse.order()
        });
        assert_eq!(orders, [Order::Leave, Order::Cut, Order::Cut]);
        assert_eq!(watch.metrics.timed_out.get(), 1);
        drop(pulse);
        watch.look();
        assert!(watch.lock().pulses.is_empty());
    }
}
