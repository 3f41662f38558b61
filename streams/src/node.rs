//! Processors without their types, as a task runs them.

mod asynchronous;
mod call;
mod effect;
mod hosts;
mod synchronous;

use std::{any::Any, sync::Arc};

use apache_avro::Schema;
use serde::de::DeserializeOwned;

use crate::{
    context::Context,
    disposition::{Classify, Failure},
    fault::Fault,
    key::{Key, KeyError},
    record::{RawRecord, Record, Timestamp},
    wire::{DecodeError, Decoder, Schemas},
};

pub(crate) use asynchronous::AsyncNode;
pub(crate) use call::Call;
pub(crate) use effect::EffectNode;
pub use effect::{LedgerEntry, LedgerState};
pub(crate) use hosts::Hosts;
pub(crate) use synchronous::SyncNode;

/// Something only its own node can read.
pub(crate) type Opaque = Box<dyn Any + Send>;

/// What a node wants after it has seen a record.
pub(crate) enum Step {
    /// The record is finished.
    Done,
    /// Call, then `complete`.
    Call(Opaque),
    /// Call as soon as everything written so far is acknowledged, then `complete`.
    CallWhenAcknowledged(Opaque),
}

/// How a node ends a record it cannot finish.
pub(crate) enum GiveUp {
    /// The record goes to the dead letters.
    DeadLetter,
    /// The node has told of it itself: the record is finished.
    Finished,
}

/// A processor, async processor or effect.
pub(crate) trait Node: Send {
    fn begin(&mut self, ctx: &mut Context<'_>, record: &RawRecord) -> Result<Step, Failure>;

    fn call(&self, pending: &Opaque) -> Call;

    fn complete(
        &mut self,
        ctx: &mut Context<'_>,
        pending: &Opaque,
        answer: Opaque,
        calls: u32,
    ) -> Result<(), Failure>;

    /// A copy of an answer, to complete with again after an abort.
    fn copy(&self, _answer: &Opaque) -> Option<Opaque> {
        None
    }

    /// Whether the call may still be repeated at `at`.
    fn may_repeat(&self, _pending: &Opaque, _at: Timestamp) -> bool {
        true
    }

    fn give_up(
        &mut self,
        _ctx: &mut Context<'_>,
        _pending: Option<&Opaque>,
        _failure: &Failure,
        _calls: u32,
    ) -> Result<GiveUp, Failure> {
        Ok(GiveUp::DeadLetter)
    }

    fn punctuate(&mut self, ctx: &mut Context<'_>) -> Result<(), Failure>;
}

/// Reads records of one source.
#[derive(Debug)]
pub(crate) struct Input {
    decoder: Decoder,
}

impl Input {
    pub(crate) fn new(schemas: Arc<dyn Schemas>, schema: &'static Schema) -> Self {
        Self { decoder: Decoder::new(schemas, schema) }
    }

    fn decode<K: Key, V: DeserializeOwned>(
        &mut self,
        raw: &RawRecord,
    ) -> Result<Record<K, V>, Fault> {
        let key = K::decode(raw.key.as_ref().ok_or(KeyError::Missing)?)?;
        let bytes = raw.value.as_ref().ok_or(DecodeError::Tombstone)?;
        Ok(Record {
            key,
            value: self.decoder.decode(bytes)?,
            timestamp: raw.timestamp,
            position: raw.position.clone(),
            headers: raw.headers.clone(),
        })
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape `map_err` wants")]
fn fail<E: Classify>(error: E) -> Failure {
    Failure::of(&error)
}

/// A pending value of the wrong type can only be our own mistake: stop rather than guess.
fn mixed_up() -> Failure {
    Failure {
        exception: "streams::node::Opaque".into(),
        message: "an answer came back to a node that did not ask for it".to_owned(),
        disposition: crate::disposition::Disposition::Halt,
    }
}
