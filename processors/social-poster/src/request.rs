//! The processor of the sub-topology `decide`: transactions in, requested posts out.

use std::sync::Arc;

use schemas::{PostRequested, TransactionEnriched};
use streams::{Classify, Context, Disposition, Fault, Processor, Record, Sink, Store};

use crate::{
    decision::{self, DecisionError, Seen},
    rules::Rule,
};

/// Why a record cannot be decided about.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The record makes no sense.
    #[error("deciding about a transaction")]
    Decision(#[from] DecisionError),
    /// The runtime's own.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl Classify for RequestError {
    fn disposition(&self) -> Disposition {
        match self {
            // The record will not get better.
            Self::Decision(_) => Disposition::DeadLetter,
            Self::Fault(fault) => fault.disposition(),
        }
    }
}

/// Decides which posts a transaction asks for.
#[derive(Clone, Debug)]
pub struct Decide {
    /// The rules, in the order in which they ask.
    pub rules: Arc<[Rule]>,
    /// What was decided, by transaction id.
    pub posts: Store<String, Seen>,
    /// Posts asked for.
    pub requested: Sink<String, PostRequested>,
}

impl Processor for Decide {
    type Key = String;
    type Value = TransactionEnriched;
    type Error = RequestError;

    fn process(
        &mut self,
        ctx: &mut Context<'_>,
        record: &Record<String, TransactionEnriched>,
    ) -> Result<(), RequestError> {
        let event = &record.value;
        let seen = ctx.get(&self.posts, &event.transaction_id)?.unwrap_or_default();
        let decided = decision::decide(&self.rules, event, record.timestamp, seen)?;
        let Some(decision) = decided else { return Ok(()) };
        ctx.put(&self.posts, &event.transaction_id, &decision.seen)?;
        for post in &decision.posts {
            ctx.forward(&self.requested, &post.post_id, post)?;
        }
        Ok(())
    }
}
