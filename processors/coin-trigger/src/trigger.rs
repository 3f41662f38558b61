//! The processor of the sub-topology `decide`: transactions in, triggers out.

use std::sync::Arc;

use schemas::{CoinTrigger, TransactionEnriched};
use serde::{Deserialize, Serialize};
use streams::{Classify, Context, Disposition, Fault, Processor, Record, Sink, Store};

use crate::{
    decision::{self, CarryKey, DecisionError, Seen},
    rules::Rule,
};

/// An entry of the store `triggers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Entry {
    /// Under `transaction/<transaction id>`.
    Transaction(Seen),
    /// Under `carry/<rule>/<account id>`: carry-over in base units.
    Carry(i64),
}

/// Why a record cannot be decided about.
#[derive(Debug, thiserror::Error)]
pub enum TriggerError {
    /// The record makes no sense.
    #[error("deciding about a transaction")]
    Decision(#[from] DecisionError),
    /// The store holds something else under this key.
    #[error(
        "store `triggers` holds an entry of another kind under `{key}`; restore it from its changelog"
    )]
    CorruptStore {
        /// The key.
        key: String,
    },
    /// The runtime's own.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl Classify for TriggerError {
    fn disposition(&self) -> Disposition {
        match self {
            // The record will not get better.
            Self::Decision(_) => Disposition::DeadLetter,
            // Coins counted on a wrong carry-over would be wrong for ever.
            Self::CorruptStore { .. } => Disposition::Halt,
            Self::Fault(fault) => fault.disposition(),
        }
    }
}

/// Decides which rules a transaction meets.
#[derive(Clone, Debug)]
pub struct Decide {
    /// The rules, in the order in which they fire.
    pub rules: Arc<[Rule]>,
    /// What was decided, and the carry-overs.
    pub triggers: Store<String, Entry>,
    /// Triggers fired and reversed.
    pub fired: Sink<String, CoinTrigger>,
}

impl Processor for Decide {
    type Key = String;
    type Value = TransactionEnriched;
    type Error = TriggerError;

    fn process(
        &mut self,
        ctx: &mut Context<'_>,
        record: &Record<String, TransactionEnriched>,
    ) -> Result<(), TriggerError> {
        let event = &record.value;
        let key = format!("transaction/{}", event.transaction_id);
        let seen = match ctx.get(&self.triggers, &key)? {
            None => Seen::default(),
            Some(Entry::Transaction(seen)) => seen,
            Some(Entry::Carry(_)) => return Err(TriggerError::CorruptStore { key }),
        };
        let carry = |key: &CarryKey| self.carry(ctx, key);
        let decided = decision::decide(&self.rules, event, record.timestamp, seen, carry)?;
        let Some(decision) = decided else { return Ok(()) };
        ctx.put(&self.triggers, &key, &Entry::Transaction(decision.seen))?;
        for (key, base_units) in &decision.carries {
            ctx.put(&self.triggers, &carry_key(key), &Entry::Carry(*base_units))?;
        }
        for trigger in &decision.triggers {
            ctx.forward(&self.fired, trigger_id(trigger), trigger)?;
        }
        Ok(())
    }
}

impl Decide {
    fn carry(&self, ctx: &Context<'_>, key: &CarryKey) -> Result<i64, TriggerError> {
        let key = carry_key(key);
        match ctx.get(&self.triggers, &key)? {
            None => Ok(0),
            Some(Entry::Carry(base_units)) => Ok(base_units),
            Some(Entry::Transaction(_)) => Err(TriggerError::CorruptStore { key }),
        }
    }
}

fn carry_key(key: &CarryKey) -> String {
    format!("carry/{}/{}", key.rule, key.account_id)
}

fn trigger_id(trigger: &CoinTrigger) -> &String {
    match trigger {
        CoinTrigger::CoinTriggerFired(fired) => &fired.trigger_id,
        CoinTrigger::CoinTriggerReversed(reversed) => &reversed.trigger_id,
    }
}
