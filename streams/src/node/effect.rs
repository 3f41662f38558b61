//! An [`Effect`] and its ledger as a node.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Call, GiveUp, Input, Node, Opaque, Step, fail, mixed_up};
use crate::{
    context::Context,
    disposition::Failure,
    fault::Fault,
    processor::{Effect, Outcome},
    record::{RawRecord, Record, Timestamp},
    topology::Store,
};

/// What the ledger knows of an effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "A: Serialize + DeserializeOwned")]
pub struct LedgerEntry<A> {
    /// How far it came.
    pub state: LedgerState<A>,
    /// When the first call was about to be made; the key's validity counts from here.
    pub first_call_at: Timestamp,
    /// Calls made or about to be made.
    pub attempts: u32,
}

/// How far an effect came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", bound = "A: Serialize + DeserializeOwned")]
pub enum LedgerState<A> {
    /// A call was about to be made; its answer is not known.
    Intent,
    /// The other side answered.
    Done(A),
    /// Nobody can know whether it happened.
    Unknown {
        /// What the last call said.
        detail: String,
    },
}

pub(crate) struct EffectNode<E: Effect> {
    pub(crate) effect: E,
    pub(crate) input: Input,
    pub(crate) ledger: Store<String, LedgerEntry<E::Answer>>,
    pub(crate) application_id: String,
}

struct Pending<E: Effect> {
    id: String,
    record: Record<E::Key, E::Value>,
    first_call_at: Timestamp,
    attempts: u32,
}

impl<E: Effect> EffectNode<E> {
    fn is_honoured(&self, first_call_at: Timestamp, at: Timestamp) -> bool {
        let validity = i64::try_from(self.effect.key_validity().as_millis()).unwrap_or(i64::MAX);
        at.saturating_sub(first_call_at) < validity
    }

    fn finish(
        &mut self,
        ctx: &mut Context<'_>,
        record: &Record<E::Key, E::Value>,
        entry: &LedgerEntry<E::Answer>,
    ) -> Result<(), Failure> {
        let attempts = entry.attempts;
        let outcome = match &entry.state {
            LedgerState::Done(answer) => Outcome::Done { answer: answer.clone(), attempts },
            LedgerState::Unknown { detail } => {
                Outcome::Unknown { attempts, detail: detail.clone() }
            }
            LedgerState::Intent => return Err(mixed_up()),
        };
        self.effect.finish(ctx, record, &outcome).map_err(fail)
    }

    fn settle(
        &mut self,
        ctx: &mut Context<'_>,
        id: &String,
        record: &Record<E::Key, E::Value>,
        entry: &LedgerEntry<E::Answer>,
    ) -> Result<(), Failure> {
        ctx.put(&self.ledger, id, entry).map_err(fail::<Fault>)?;
        self.finish(ctx, record, entry)
    }
}

impl<E: Effect> Node for EffectNode<E> {
    fn begin(&mut self, ctx: &mut Context<'_>, record: &RawRecord) -> Result<Step, Failure> {
        let record = self.input.decode(record).map_err(fail)?;
        let Some(id) = self.effect.effect_id(&record) else { return Ok(Step::Done) };
        let now = ctx.now();
        let known = ctx.get(&self.ledger, &id).map_err(fail::<Fault>)?;
        let (first_call_at, attempts) = match known {
            None => (now, 1),
            Some(entry) if !matches!(entry.state, LedgerState::Intent) => {
                // Told before; the telling may have been lost with a crash, so it is told again.
                self.finish(ctx, &record, &entry)?;
                return Ok(Step::Done);
            }
            Some(entry) if self.is_honoured(entry.first_call_at, now) => {
                (entry.first_call_at, entry.attempts.saturating_add(1))
            }
            Some(entry) => {
                let detail = "the process ended during the call, and the other side no longer \
                              honours its key"
                    .to_owned();
                let state = LedgerState::Unknown { detail };
                self.settle(ctx, &id, &record, &LedgerEntry { state, ..entry })?;
                return Ok(Step::Done);
            }
        };
        let entry = LedgerEntry { state: LedgerState::Intent, first_call_at, attempts };
        ctx.put(&self.ledger, &id, &entry).map_err(fail::<Fault>)?;
        Ok(Step::CallWhenAcknowledged(Box::new(Pending::<E> {
            id,
            record,
            first_call_at,
            attempts,
        })))
    }

    fn call(&self, pending: &Opaque) -> Call {
        let Some(pending) = pending.downcast_ref::<Pending<E>>() else {
            return Call::new(async { Err(mixed_up()) });
        };
        let key = format!("{}:{}", self.application_id, pending.id);
        let record = pending.record.clone();
        let call = self.effect.call(key, record);
        Call::new(async move {
            let answer = call.await.map_err(fail)?;
            Ok(Box::new(answer) as Opaque)
        })
    }

    fn complete(
        &mut self,
        ctx: &mut Context<'_>,
        pending: &Opaque,
        answer: Opaque,
        calls: u32,
    ) -> Result<(), Failure> {
        let pending = pending.downcast_ref::<Pending<E>>().ok_or_else(mixed_up)?;
        let answer = answer.downcast::<E::Answer>().map_err(|_| mixed_up())?;
        let entry = LedgerEntry {
            state: LedgerState::Done(*answer),
            first_call_at: pending.first_call_at,
            attempts: pending.attempts.saturating_add(calls.saturating_sub(1)),
        };
        self.settle(ctx, &pending.id, &pending.record, &entry)
    }

    fn may_repeat(&self, pending: &Opaque, at: Timestamp) -> bool {
        pending
            .downcast_ref::<Pending<E>>()
            .is_some_and(|pending| self.is_honoured(pending.first_call_at, at))
    }

    fn give_up(
        &mut self,
        ctx: &mut Context<'_>,
        pending: Option<&Opaque>,
        failure: &Failure,
        calls: u32,
    ) -> Result<GiveUp, Failure> {
        let Some(pending) = pending.and_then(|pending| pending.downcast_ref::<Pending<E>>()) else {
            return Ok(GiveUp::DeadLetter);
        };
        let entry = LedgerEntry {
            state: LedgerState::Unknown { detail: failure.message.clone() },
            first_call_at: pending.first_call_at,
            attempts: pending.attempts.saturating_add(calls.saturating_sub(1)),
        };
        self.settle(ctx, &pending.id, &pending.record, &entry)?;
        Ok(GiveUp::Finished)
    }

    fn punctuate(&mut self, _ctx: &mut Context<'_>) -> Result<(), Failure> {
        Ok(())
    }
}
