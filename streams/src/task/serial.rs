//! Records that are handled one after the other, in the order of their partition.
//!
//! Where a task reads two such inputs, the record with the lower timestamp goes first, as far as both
//! have one: the order of time, as good as it can be known without waiting.

use std::{collections::VecDeque, sync::Arc};

use super::{SENDS_MAX, Task};
use crate::{
    disposition::{Disposition, Failure, Retry},
    node::{GiveUp, Step},
    record::{RawRecord, Timestamp},
    spans,
};

/// The queue of one input.
#[derive(Debug, Default)]
pub(super) struct Serial {
    queue: VecDeque<Arc<RawRecord>>,
    /// Counted failures of the first record.
    failures: u32,
    first_failure_at: Option<Timestamp>,
    rest_until: Option<Timestamp>,
    /// Handled in the open transaction, in order.
    handled: Vec<Arc<RawRecord>>,
}

impl Serial {
    pub(super) fn push(&mut self, record: Arc<RawRecord>) {
        self.queue.push_back(record);
    }

    /// When the first record is tried again, where it failed.
    pub(super) fn rests_until(&self) -> Option<Timestamp> {
        self.rest_until
    }

    pub(super) fn shift(&mut self, back: i64) {
        self.rest_until = self.rest_until.map(|at| at.saturating_sub(back));
    }

    /// The transaction is committed: what it handled is behind us.
    pub(super) fn settle(&mut self) {
        self.handled.clear();
    }

    /// The transaction is aborted: what it handled comes first again. Offsets of those come back.
    pub(super) fn reopen(&mut self) -> Vec<i64> {
        let mut offsets = Vec::with_capacity(self.handled.len());
        for record in std::mem::take(&mut self.handled).into_iter().rev() {
            offsets.push(record.position.offset);
            self.queue.push_front(record);
        }
        if !offsets.is_empty() {
            self.calm();
        }
        offsets
    }

    /// Forgets the failures of the record that was first.
    fn calm(&mut self) {
        self.failures = 0;
        self.first_failure_at = None;
        self.rest_until = None;
    }
}

impl Task {
    /// Handles what is there, as far as limits allow.
    pub(super) fn process_serial(&mut self, now: Timestamp) {
        while !self.is_draining
            && !self.is_halted
            && !self.is_abort_wanted
            && self.sends.len() < SENDS_MAX
        {
            let Some(input) = self.next_serial(now) else { return };
            self.process_first(input, now);
        }
    }

    /// The input whose first record is the oldest of those that may be handled.
    fn next_serial(&self, now: Timestamp) -> Option<usize> {
        let mut found: Option<(Timestamp, usize)> = None;
        for (index, input) in self.inputs.iter().enumerate() {
            let Some(first) = input.serial.queue.front() else { continue };
            if input.serial.rest_until.is_some_and(|at| at > now) {
                continue;
            }
            if found.is_none_or(|(timestamp, _)| first.timestamp < timestamp) {
                found = Some((first.timestamp, index));
            }
        }
        found.map(|(_, index)| index)
    }

    fn process_first(&mut self, index: usize, now: Timestamp) {
        let input = &mut self.inputs[index];
        let Some(record) = input.serial.queue.front().map(Arc::clone) else { return };
        input.serial.rest_until = None;
        let node = input.node;
        self.stream_time = self.stream_time.max(record.timestamp);
        if let Some(failure) = self.take_refusal(index, record.position.offset) {
            self.dead_letter(node, &record, &failure, 1, now, now);
            self.finish_first(index, now);
            return;
        }
        let began = self.invoke(node, Some(&record), now, |node, ctx| node.begin(ctx, &record));
        match began {
            Ok((Step::Done, writes)) => {
                self.apply(writes, Some((index, &record)));
                self.finish_first(index, now);
            }
            Ok(_) => {
                let name = self.nodes[node].name.clone();
                self.halt(&name, None, "a synchronous processor asked for a call".to_owned());
            }
            Err(failure) => self.first_failed(index, &record, &failure, now),
        }
    }

    /// Decides about the first record of an input, which failed.
    fn first_failed(
        &mut self,
        index: usize,
        record: &Arc<RawRecord>,
        failure: &Failure,
        now: Timestamp,
    ) {
        let input = &mut self.inputs[index];
        let first_failure_at = *input.serial.first_failure_at.get_or_insert(now);
        match failure.disposition {
            Disposition::Halt => {
                let name = self.nodes[self.inputs[index].node].name.clone();
                self.halt(&name, Some(record.position.clone()), failure.message.clone());
            }
            Disposition::Retry(retry) if self.may_rest(index, retry, failure, now) => {}
            Disposition::Retry(_) | Disposition::DeadLetter => {
                let attempts = self.inputs[index].serial.failures.max(1);
                self.give_up_first(index, record, failure, attempts, first_failure_at, now);
            }
        }
    }

    /// Lets the first record rest until its next try; `false` when it has failed too often.
    fn may_rest(&mut self, index: usize, retry: Retry, failure: &Failure, now: Timestamp) -> bool {
        let input = &mut self.inputs[index];
        let failures = input.serial.failures.saturating_add(u32::from(retry.is_counted));
        input.serial.failures = failures;
        let delay = self.settings.retry.delay_ms(retry, failures.max(1), &mut self.rng);
        if failures >= self.settings.retry.attempts_max {
            return false;
        }
        input.serial.rest_until = Some(now.saturating_add(delay));
        let name = &self.nodes[input.node].name;
        tracing::debug!(
            processor = name,
            attempts = failures,
            delay_ms = delay,
            error = failure.message,
            "trying again"
        );
        self.settings.metrics.retries_total.with_label_values(&[name]).inc();
        true
    }

    fn give_up_first(
        &mut self,
        index: usize,
        record: &Arc<RawRecord>,
        failure: &Failure,
        attempts: u32,
        first_failure_at: Timestamp,
        now: Timestamp,
    ) {
        let node = self.inputs[index].node;
        let ended = self.invoke(node, Some(record), now, |node, ctx| {
            node.give_up(ctx, None, failure, attempts)
        });
        match ended {
            Ok((GiveUp::Finished, writes)) => self.apply(writes, Some((index, record))),
            Ok((GiveUp::DeadLetter, _)) => {
                self.dead_letter(node, record, failure, attempts, first_failure_at, now);
            }
            Err(failure) => {
                let name = self.nodes[node].name.clone();
                self.halt(&name, Some(record.position.clone()), failure.message);
                return;
            }
        }
        self.finish_first(index, now);
    }

    fn finish_first(&mut self, index: usize, now: Timestamp) {
        let is_transactional = self.is_transactional();
        let input = &mut self.inputs[index];
        let Some(record) = input.serial.queue.pop_front() else { return };
        input.serial.calm();
        input.offsets.finished(record.position.offset);
        input.buffered = input.buffered.saturating_sub(1);
        input.is_touched = true;
        let node = input.node;
        spans::handled(&self.nodes[node].name, &record, now, now);
        if is_transactional {
            input.serial.handled.push(record);
        }
        self.nodes[node].processed.inc();
        self.punctuate_on_stream_time(node, now);
    }
}
