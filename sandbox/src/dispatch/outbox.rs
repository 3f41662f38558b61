//! The queue of deliveries: what to send next, and what an answer means.

use std::collections::BTreeMap;
use std::sync::Arc;

use fastrand::Rng;

use super::counts::Counts;
use super::journal::{Fate, Journal};
use crate::ids::{self, Purpose};

/// Deliveries waiting or in flight. A receiver that is away for an hour at ten events a second
/// needs 36 000 (about 1 KiB each); past this, events are dropped and counted.
const WAITING_MAX: usize = 50_000;
/// Requests at a time: a slow receiver meets a few connections, not all of the queue.
const IN_FLIGHT_MAX: usize = 64;

/// Who sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// The bank.
    Bank,
    /// Somebody else: neither retried nor in the delivery log.
    Forger,
}

/// One request to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The webhook it is for.
    pub webhook: String,
    /// Where it goes.
    pub url: String,
    /// The event's id.
    pub event: String,
    /// The exact body.
    pub body: Arc<str>,
    /// Name and value of the signature header.
    pub headers: Vec<(String, String)>,
    /// Attempts made before this one.
    pub attempts: u32,
    /// Who sends it.
    pub sender: Sender,
}

/// How deliveries are retried: exponential backoff with jitter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    /// Milliseconds before the second attempt.
    pub base_ms: u64,
    /// Longest wait, in milliseconds.
    pub cap_ms: u64,
    /// Attempts before the bank gives up.
    pub attempts_max: u32,
}

impl Retries {
    /// Milliseconds to wait after `attempts` failed ones: between half and all of
    /// `base * 2^(attempts - 1)`, so that receivers that fail together are not retried together.
    fn wait_ms(&self, attempts: u32, rng: &mut Rng) -> u64 {
        let doubled = 2u64.saturating_pow(attempts.saturating_sub(1));
        let full = self.base_ms.saturating_mul(doubled).min(self.cap_ms);
        rng.u64(full / 2..=full)
    }
}

/// What the courier does now.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Make this request.
    Send(Delivery),
    /// Wait so many milliseconds, or until something changes.
    Wait(u64),
    /// Wait until something changes.
    Idle,
}

/// The queue.
#[derive(Debug)]
pub struct Outbox {
    waiting: BTreeMap<(i64, u64), Delivery>,
    in_flight: usize,
    sequence: u64,
    retries: Retries,
    jitter: Rng,
    /// What happened so far.
    pub counts: Counts,
    /// Every event and its fate.
    pub journal: Journal,
}

impl Outbox {
    /// An empty queue; the jitter follows from `seed`.
    pub fn new(seed: u64, retries: Retries) -> Self {
        Self {
            waiting: BTreeMap::new(),
            in_flight: 0,
            sequence: 0,
            retries,
            jitter: ids::generator(seed, Purpose::Jitter),
            counts: Counts::default(),
            journal: Journal::default(),
        }
    }

    /// Deliveries that wait for their time.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Requests being made.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Queues a delivery for the time `due`; drops it when the queue is full.
    pub fn push(&mut self, due: i64, delivery: Delivery) {
        if self.waiting.len() + self.in_flight >= WAITING_MAX {
            self.counts.overflowed += 1;
            self.journal.settle(&delivery.event, Fate::Dropped);
            tracing::warn!(event = delivery.event, limit = WAITING_MAX, "delivery queue is full");
            return;
        }
        self.sequence += 1;
        self.waiting.insert((due, self.sequence), delivery);
    }

    /// The next thing to do at the time `now`.
    pub fn next(&mut self, now: i64) -> Next {
        let Some(first) = self.waiting.first_entry().filter(|_| self.in_flight < IN_FLIGHT_MAX)
        else {
            return Next::Idle;
        };
        let due = first.key().0;
        if due > now {
            return Next::Wait(u64::try_from(due.saturating_sub(now)).unwrap_or(0));
        }
        self.in_flight += 1;
        Next::Send(first.remove())
    }

    /// Takes a delivery back unsent, because its webhook is gone.
    pub fn cancel(&mut self, delivery: &Delivery) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.counts.cancelled += 1;
        self.journal.settle(&delivery.event, Fate::Dropped);
    }

    /// Takes the answer to a request: `None` when nobody answered.
    pub fn finished(&mut self, mut delivery: Delivery, status: Option<u16>, now: i64) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if delivery.sender == Sender::Forger {
            self.counts.forged += 1;
            match status {
                Some(200) => self.counts.forged_accepted += 1,
                Some(_) => self.counts.forged_rejected += 1,
                None => self.counts.forged_unanswered += 1,
            }
            return;
        }
        self.counts.attempts += 1;
        delivery.attempts += 1;
        if status == Some(200) {
            self.counts.delivered += 1;
            self.journal.settle(&delivery.event, Fate::Delivered);
            return;
        }
        self.counts.failed += 1;
        if delivery.attempts >= self.retries.attempts_max {
            self.counts.given_up += 1;
            tracing::warn!(event = delivery.event, attempts = delivery.attempts, "event given up");
            self.journal.settle(&delivery.event, Fate::GivenUp);
            return;
        }
        let wait = self.retries.wait_ms(delivery.attempts, &mut self.jitter);
        self.push(now.saturating_add_unsigned(wait), delivery);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRIES: Retries = Retries { base_ms: 100, cap_ms: 1_000, attempts_max: 3 };

    fn delivery(event: &str) -> Delivery {
        Delivery {
            webhook: "w".to_owned(),
            url: "http://127.0.0.1:1/".to_owned(),
            event: event.to_owned(),
            body: "{}".into(),
            headers: Vec::new(),
            attempts: 0,
            sender: Sender::Bank,
        }
    }

    fn send(outbox: &mut Outbox, now: i64) -> Delivery {
        match outbox.next(now) {
            Next::Send(delivery) => delivery,
            other => panic!("expected a delivery at {now}, got {other:?}"),
        }
    }

    #[test]
    fn deliveries_leave_in_the_order_of_their_times() {
        let mut outbox = Outbox::new(1, RETRIES);
        outbox.push(20, delivery("b"));
        outbox.push(10, delivery("a"));
        assert_eq!(outbox.next(4), Next::Wait(6));
        assert_eq!(send(&mut outbox, 30).event, "a");
        assert_eq!(send(&mut outbox, 30).event, "b");
        assert_eq!(outbox.next(30), Next::Idle);
        assert_eq!(outbox.in_flight(), 2);
    }

    #[test]
    fn only_200_counts_and_everything_else_is_retried_until_given_up() {
        let mut outbox = Outbox::new(1, RETRIES);
        outbox.push(0, delivery("a"));
        for status in [Some(201), None, Some(500)] {
            let now = 10_000 * i64::from(outbox.counts.failed > 0) + 10_000;
            let sent = send(&mut outbox, now);
            outbox.finished(sent, status, now - 5_000);
        }
        assert_eq!((outbox.counts.failed, outbox.counts.given_up), (3, 1));
        assert_eq!((outbox.waiting(), outbox.in_flight()), (0, 0));
    }

    #[test]
    fn waits_double_up_to_the_cap_and_jitter_by_half() {
        let mut rng = ids::generator(1, Purpose::Jitter);
        let mut check = |attempts, low, high| {
            let wait = RETRIES.wait_ms(attempts, &mut rng);
            assert!((low..=high).contains(&wait), "{attempts}: {wait}");
        };
        check(1, 50, 100);
        check(2, 100, 200);
        check(4, 400, 800);
        check(5, 500, 1_000);
        check(500, 500, 1_000);
    }

    #[test]
    fn a_forgery_is_counted_apart_and_never_retried() {
        let mut outbox = Outbox::new(1, RETRIES);
        for status in [Some(401), Some(200), None] {
            outbox.push(0, Delivery { sender: Sender::Forger, ..delivery("f") });
            let sent = send(&mut outbox, 0);
            outbox.finished(sent, status, 0);
        }
        let Counts { forged, forged_rejected, forged_accepted, attempts, .. } = outbox.counts;
        assert_eq!((forged, forged_rejected, forged_accepted, attempts), (3, 1, 1, 0));
        assert_eq!(outbox.waiting(), 0);
    }

    #[test]
    fn a_full_queue_drops_and_counts_and_few_requests_run_at_a_time() {
        let mut outbox = Outbox::new(1, RETRIES);
        for _ in 0..=WAITING_MAX {
            outbox.push(0, delivery("a"));
        }
        assert_eq!((outbox.waiting(), outbox.counts.overflowed), (WAITING_MAX, 1));
        let sent = (0..1_000).take_while(|_| matches!(outbox.next(0), Next::Send(_))).count();
        assert_eq!(sent, IN_FLIGHT_MAX);
    }
}
