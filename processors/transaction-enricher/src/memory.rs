//! What is remembered between events: which were handled, and the transactions they were about.

use schemas::Timestamp;
use streams::{Context, DedupeStore, Fault, Store};

use crate::change::Known;

/// The two stores.
///
/// `events` remembers `<source>/<event>` for a window of stream time. `transactions` has one entry for
/// each transaction, `<source>/<transaction>`, kept for good: a deletion names no account.
#[derive(Clone, Debug)]
pub(crate) struct Memory {
    pub(crate) events: DedupeStore,
    pub(crate) transactions: Store<String, Known>,
}

impl Memory {
    /// Whether an event was handled within the window.
    pub(crate) fn is_handled(
        &self,
        ctx: &Context<'_>,
        source: &str,
        event_id: &str,
    ) -> Result<bool, Fault> {
        ctx.has_seen(&self.events, format!("{source}/{event_id}"))
    }

    /// The event, whose record has this time, is handled.
    pub(crate) fn remember_event(
        &self,
        ctx: &mut Context<'_>,
        source: &str,
        event_id: &str,
        at: Timestamp,
    ) -> Result<(), Fault> {
        ctx.first_sight(&self.events, format!("{source}/{event_id}"), at).map(drop)
    }

    pub(crate) fn transaction(
        &self,
        ctx: &Context<'_>,
        source: &str,
        transaction_id: &str,
    ) -> Result<Option<Known>, Fault> {
        ctx.get(&self.transactions, &format!("{source}/{transaction_id}"))
    }

    pub(crate) fn remember_transaction(
        &self,
        ctx: &mut Context<'_>,
        source: &str,
        transaction_id: &str,
        known: &Known,
    ) -> Result<(), Fault> {
        ctx.put(&self.transactions, &format!("{source}/{transaction_id}"), known)
    }
}
