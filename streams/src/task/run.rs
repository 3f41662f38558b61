//! A record's way through its node: begin, call, complete; or fail.

use std::{cmp::Reverse, sync::Arc};

use super::{Command, Entry, EntryId, Input, Purpose, SENDS_MAX, SendId, Stage, Task, after};
use crate::{
    context::{Context, Punctuation, Writes},
    dead_letter::{Reason, letter},
    disposition::{Disposition, Failure, Retry},
    node::{GiveUp, Node, Opaque, Step},
    record::{Outgoing, RawRecord, Timestamp},
    spans,
};

impl Task {
    /// Begins what is first in its lane, as far as limits allow.
    pub(super) fn begin_ready(&mut self, now: Timestamp) {
        while !self.is_draining
            && !self.is_halted
            && !self.is_abort_wanted
            && self.sends.len() < SENDS_MAX
        {
            let Some(id) = self.next_ready() else { return };
            self.begin(id, now);
        }
    }

    /// The next record that may begin: the oldest of those whose node has room for another call, and
    /// which is not too far ahead of its partition's oldest.
    fn next_ready(&mut self) -> Option<EntryId> {
        let first = |input: &Input| {
            let node = &self.nodes[input.node];
            let id = *input.ready.first().filter(|_| node.in_flight < node.in_flight_max)?;
            let entry = self.entries.get(&id);
            let is_near = |entry: &Entry| input.offsets.is_in_reach(entry.record.position.offset);
            entry.is_none_or(is_near).then_some(id)
        };
        let firsts = self.inputs.iter().enumerate();
        let (id, input) = firsts.filter_map(|(index, input)| Some((first(input)?, index))).min()?;
        self.inputs[input].ready.remove(&id);
        Some(id)
    }

    fn begin(&mut self, id: EntryId, now: Timestamp) {
        let Some(entry) = self.entries.get(&id) else { return };
        let (input, record) = (entry.input, Arc::clone(&entry.record));
        let node = self.inputs[input].node;
        self.stream_time = self.stream_time.max(record.timestamp);
        if let Some(failure) = self.take_refusal(input, record.position.offset) {
            self.dead_letter(node, &record, &failure, 1, now, now);
            self.finish(id, now);
            return;
        }
        let outcome = self.invoke(node, Some(&record), now, |node, ctx| node.begin(ctx, &record));
        match outcome {
            Ok((step, writes)) => {
                self.apply(writes, Some((input, &record)));
                match step {
                    Step::Done => self.finish(id, now),
                    Step::Call(pending) => self.ask(id, pending, now),
                    Step::CallWhenAcknowledged(pending) => {
                        let mark = self.sends.mark();
                        if let Some(entry) = self.entries.get_mut(&id) {
                            entry.stage = Stage::Recording { pending, mark };
                        }
                        self.nodes[node].in_flight = self.nodes[node].in_flight.saturating_add(1);
                        self.recording.push(id);
                    }
                }
            }
            Err(failure) => self.failed(id, None, failure, now),
        }
    }

    /// Makes the call a record asks for, unless one made before an abort answers it.
    fn ask(&mut self, id: EntryId, pending: Opaque, now: Timestamp) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        if let Some(answer) = entry.answer.take() {
            entry.stage = Stage::Calling { pending };
            self.complete(id, Ok(answer), now);
        } else if std::mem::take(&mut entry.is_call_out) {
            entry.stage = Stage::Calling { pending };
        } else {
            self.call(id, pending, now);
        }
    }

    /// Calls for records whose intent is acknowledged by now.
    pub(super) fn call_recorded(&mut self, now: Timestamp) {
        for id in std::mem::take(&mut self.recording) {
            let Some(entry) = self.entries.get_mut(&id) else { continue };
            match std::mem::replace(&mut entry.stage, Stage::Waiting) {
                Stage::Recording { pending, mark } if self.sends.is_acknowledged(mark) => {
                    let node = self.inputs[entry.input].node;
                    self.nodes[node].in_flight = self.nodes[node].in_flight.saturating_sub(1);
                    self.call(id, pending, now);
                }
                stage => {
                    entry.stage = stage;
                    self.recording.push(id);
                }
            }
        }
    }

    fn call(&mut self, id: EntryId, pending: Opaque, now: Timestamp) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let node = &mut self.nodes[self.inputs[entry.input].node];
        let wanted = node.node.call(&pending);
        node.in_flight = node.in_flight.saturating_add(1);
        entry.calls = entry.calls.saturating_add(1);
        entry.called_at = now;
        entry.stage = Stage::Calling { pending };
        let metrics = &self.settings.metrics;
        metrics.calls_total.with_label_values(&[&node.name]).inc();
        metrics.calls_in_flight.with_label_values(&[&node.name]).inc();
        self.commands.push(Command::Call { entry: id, call: entry.calls, wanted });
    }

    pub(super) fn answered(
        &mut self,
        id: EntryId,
        call: u32,
        answer: Result<Opaque, Failure>,
        now: Timestamp,
    ) {
        let Some(entry) = self.entries.get_mut(&id).filter(|entry| entry.calls == call) else {
            return;
        };
        if entry.is_call_out {
            self.answered_late(id, call, answer);
            return;
        }
        if !matches!(entry.stage, Stage::Calling { .. }) {
            return;
        }
        let took_ms = u64::try_from(now.saturating_sub(entry.called_at)).unwrap_or_default();
        let state = &mut self.nodes[self.inputs[entry.input].node];
        state.in_flight = state.in_flight.saturating_sub(1);
        let metrics = &self.settings.metrics;
        metrics.calls_in_flight.with_label_values(&[&state.name]).dec();
        let took = std::time::Duration::from_millis(took_ms).as_secs_f64();
        metrics.call_seconds.with_label_values(&[&state.name]).observe(took);
        self.complete(id, answer, now);
    }

    /// Finishes a called record with its answer.
    fn complete(&mut self, id: EntryId, answer: Result<Opaque, Failure>, now: Timestamp) {
        let is_transactional = self.is_transactional();
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let Stage::Calling { pending } = std::mem::replace(&mut entry.stage, Stage::Waiting) else {
            return;
        };
        let (input, record, calls) = (entry.input, Arc::clone(&entry.record), entry.calls);
        let node = self.inputs[input].node;
        if let Ok(answer) = &answer
            && is_transactional
        {
            entry.answer = self.nodes[node].node.copy(answer);
        }
        let completed = answer.and_then(|answer| {
            self.invoke(node, Some(&record), now, |node, ctx| {
                node.complete(ctx, &pending, answer, calls)
            })
        });
        match completed {
            Ok(((), writes)) => {
                self.apply(writes, Some((input, &record)));
                self.finish(id, now);
            }
            Err(failure) => {
                if let Some(entry) = self.entries.get_mut(&id) {
                    entry.answer = None;
                }
                self.failed(id, Some(pending), failure, now);
            }
        }
    }

    /// Decides about a record that failed.
    fn failed(&mut self, id: EntryId, pending: Option<Opaque>, failure: Failure, now: Timestamp) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let node = self.inputs[entry.input].node;
        entry.first_failure_at.get_or_insert(now);
        match failure.disposition {
            Disposition::Halt => {
                let (name, position) =
                    (self.nodes[node].name.clone(), entry.record.position.clone());
                self.halt(&name, Some(position), failure.message);
            }
            Disposition::DeadLetter => self.give_up(id, pending.as_ref(), &failure, now),
            Disposition::Retry(retry) => self.rest(id, pending, &failure, retry, now),
        }
    }

    /// Lets a record rest until its next try, or gives it up.
    fn rest(
        &mut self,
        id: EntryId,
        pending: Option<Opaque>,
        failure: &Failure,
        retry: Retry,
        now: Timestamp,
    ) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        if retry.is_counted {
            entry.failures = entry.failures.saturating_add(1);
        }
        let delay = self.settings.retry.delay_ms(retry, entry.failures.max(1), &mut self.rng);
        let at = now.saturating_add(delay);
        let node = &self.nodes[self.inputs[entry.input].node];
        let is_spent = entry.failures >= self.settings.retry.attempts_max;
        let may_repeat = pending.as_ref().is_none_or(|pending| node.node.may_repeat(pending, at));
        if is_spent || !may_repeat {
            self.give_up(id, pending.as_ref(), failure, now);
            return;
        }
        tracing::debug!(
            processor = node.name, position = %entry.record.position, attempts = entry.failures,
            delay_ms = delay, error = failure.message, "trying again"
        );
        self.settings.metrics.retries_total.with_label_values(&[&node.name]).inc();
        entry.stage = Stage::Resting { pending };
        self.resting.push(Reverse((at, id)));
    }

    /// Repeats what is due.
    pub(super) fn wake(&mut self, now: Timestamp) {
        while let Some(Reverse((at, id))) = self.resting.peek().copied() {
            if at > now || self.is_draining {
                return;
            }
            self.resting.pop();
            let Some(entry) = self.entries.get_mut(&id) else { continue };
            match std::mem::replace(&mut entry.stage, Stage::Waiting) {
                Stage::Resting { pending: Some(pending) } => self.call(id, pending, now),
                Stage::Resting { pending: None } => {
                    self.inputs[entry.input].ready.insert(id);
                }
                stage => entry.stage = stage,
            }
        }
    }

    pub(super) fn give_up(
        &mut self,
        id: EntryId,
        pending: Option<&Opaque>,
        failure: &Failure,
        now: Timestamp,
    ) {
        let Some(entry) = self.entries.get(&id) else { return };
        let (input, record, calls) = (entry.input, Arc::clone(&entry.record), entry.calls);
        let node = self.inputs[input].node;
        let ended = self.invoke(node, Some(&record), now, |node, ctx| {
            node.give_up(ctx, pending, failure, calls)
        });
        match ended {
            Ok((GiveUp::Finished, writes)) => {
                self.apply(writes, Some((input, &record)));
                self.finish(id, now);
            }
            Ok((GiveUp::DeadLetter, _)) => {
                let (attempts, first) = (entry_attempts(self, id), self.first_failure(id, now));
                self.dead_letter(node, &record, failure, attempts, first, now);
                self.finish(id, now);
            }
            Err(failure) => {
                let name = self.nodes[node].name.clone();
                self.halt(&name, Some(record.position.clone()), failure.message);
            }
        }
    }

    fn first_failure(&self, id: EntryId, now: Timestamp) -> Timestamp {
        self.entries.get(&id).and_then(|entry| entry.first_failure_at).unwrap_or(now)
    }

    pub(super) fn dead_letter(
        &mut self,
        node: usize,
        record: &Arc<RawRecord>,
        failure: &Failure,
        attempts: u32,
        first_failure_at: Timestamp,
        now: Timestamp,
    ) {
        let name = &self.nodes[node].name;
        let place = format!("{}/{name}", self.settings.application_id);
        let reason = Reason::new(failure, place, record, attempts, first_failure_at, now);
        tracing::warn!(
            processor = name, position = %record.position, attempts, error = failure.message,
            "dead-lettered"
        );
        self.settings.metrics.dead_letters_total.with_label_values(&[name]).inc();
        let outgoing = letter(&self.settings.dead_letter_topic, record, &reason);
        self.send(outgoing, Purpose::DeadLetter);
    }

    /// The broker refused a record: an output's input goes to the dead letters in its place;
    /// without its changelog or its dead letters a task cannot go on.
    pub(super) fn refused(&mut self, send: SendId, failure: &Failure, now: Timestamp) {
        let Some(purpose) = self.sends.end(send) else { return };
        match (purpose, failure.disposition) {
            (Purpose::Output(Some(record)), Disposition::DeadLetter) if self.is_transactional() => {
                self.refuse_in_transaction(&record, failure);
            }
            // Lost with a broker, or purged by an abort that is under way: the transaction cannot be
            // committed without it, and the next one makes it again.
            (_, Disposition::Halt | Disposition::Retry(_)) if self.is_transactional() => {
                // Each of its records says the same.
                if !std::mem::replace(&mut self.is_abort_wanted, true) {
                    tracing::warn!(error = failure.message, "a record of the transaction was lost");
                }
            }
            (Purpose::Output(Some(record)), Disposition::DeadLetter) => {
                let input = self.inputs.iter().find(|input| input.topic == record.position.topic);
                let node = input.map(|input| input.node).unwrap_or_default();
                self.dead_letter(node, &record, failure, 1, now, now);
            }
            (purpose, _) => {
                let (what, position) = match purpose {
                    Purpose::Output(record) => ("output", record.map(|r| r.position.clone())),
                    Purpose::Changelog => ("changelog", None),
                    Purpose::DeadLetter => ("dead letter", None),
                };
                self.halt("producer", position, format!("{what}: {}", failure.message));
            }
        }
    }

    fn finish(&mut self, id: EntryId, now: Timestamp) {
        let Some(entry) = self.entries.remove(&id) else { return };
        let input = &mut self.inputs[entry.input];
        input.offsets.finished(entry.record.position.offset);
        input.buffered = input.buffered.saturating_sub(1);
        input.is_touched = true;
        let node = input.node;
        self.nodes[node].processed.inc();
        let began = if entry.calls > 0 { entry.called_at.min(now) } else { now };
        spans::handled(&self.nodes[node].name, &entry.record, began, now);
        if let Some(next) = self.lanes.leave(&entry.lane) {
            let input = self.entries.get(&next).map_or(entry.input, |entry| entry.input);
            self.inputs[input].ready.insert(next);
        }
        if self.is_transactional() {
            self.handled.push((id, entry));
        }
        self.punctuate_on_stream_time(node, now);
    }

    /// Punctuates a node once where stream time has passed a multiple of its interval. Not again for
    /// every multiple that was skipped: what a punctuation does it does for the time it is called at.
    pub(super) fn punctuate_on_stream_time(&mut self, index: usize, now: Timestamp) {
        let stream_time = self.stream_time;
        let node = &mut self.nodes[index];
        let Some(every) = node.stream_every_ms else { return };
        let at = *node.stream_at.get_or_insert(after(stream_time, every));
        if stream_time >= at {
            node.stream_at = Some(after(stream_time, every));
            self.punctuate_node(index, Punctuation::StreamTime, now);
        }
    }

    pub(super) fn punctuate(&mut self, now: Timestamp) {
        for index in 0..self.nodes.len() {
            let node = &mut self.nodes[index];
            let Some(every) = node.punctuate_every_ms.filter(|_| now >= node.punctuate_at) else {
                continue;
            };
            if self.is_draining || self.is_halted {
                return;
            }
            node.punctuate_at = now.saturating_add(every);
            self.punctuate_node(index, Punctuation::WallClock, now);
        }
    }

    fn punctuate_node(&mut self, index: usize, punctuation: Punctuation, now: Timestamp) {
        let name = &self.nodes[index].name;
        self.settings.metrics.punctuate_total.with_label_values(&[name]).inc();
        let punctuated =
            self.invoke_for(index, None, Some(punctuation), now, |node, ctx| node.punctuate(ctx));
        match punctuated {
            Ok(((), writes)) => self.apply(writes, None),
            Err(failure) if matches!(failure.disposition, Disposition::Retry(_)) => {
                tracing::warn!(error = failure.message, "punctuation failed; next time again");
            }
            Err(failure) => {
                let name = self.nodes[index].name.clone();
                self.halt(&name, None, failure.message);
            }
        }
    }

    /// Runs user code for a record.
    pub(super) fn invoke<R>(
        &mut self,
        node: usize,
        record: Option<&Arc<RawRecord>>,
        now: Timestamp,
        call: impl FnOnce(&mut dyn Node, &mut Context<'_>) -> Result<R, Failure>,
    ) -> Result<(R, Writes), Failure> {
        self.invoke_for(node, record, None, now, call)
    }

    /// Runs user code with a context of its own; what it wrote comes back beside its answer.
    fn invoke_for<R>(
        &mut self,
        node: usize,
        record: Option<&Arc<RawRecord>>,
        punctuation: Option<Punctuation>,
        now: Timestamp,
        call: impl FnOnce(&mut dyn Node, &mut Context<'_>) -> Result<R, Failure>,
    ) -> Result<(R, Writes), Failure> {
        let state = &mut self.nodes[node];
        let mut context = Context {
            now,
            stream_time: self.stream_time,
            origin: record.map(|record| (&record.position, &record.headers)),
            run_id: self.settings.run_id.as_deref(),
            partition: self.partition,
            connections: &state.connections,
            punctuation,
            stores: &self.state,
            sinks: &mut self.sinks,
            writes: std::mem::take(&mut self.spare_writes),
        };
        match call(state.node.as_mut(), &mut context) {
            Ok(answer) => Ok((answer, context.writes)),
            Err(failure) => {
                let mut writes = context.writes;
                writes.sends.clear();
                writes.changes.clear();
                self.spare_writes = writes;
                Err(failure)
            }
        }
    }

    pub(super) fn send(&mut self, record: Outgoing, purpose: Purpose) {
        let id = self.sends.begin(purpose);
        self.settings.metrics.sends_total.inc();
        self.commands.push(Command::Send { id, record });
    }
}

impl Task {
    /// Records on their way.
    pub(crate) fn sends_len(&self) -> usize {
        self.sends.len()
    }
}

fn entry_attempts(task: &Task, id: EntryId) -> u32 {
    task.entries.get(&id).map_or(1, |entry| entry.failures.max(entry.calls).max(1))
}
