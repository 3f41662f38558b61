//! What is remembered between events: which were handled, and the transactions they were about.

use std::time::Duration;

use schemas::Timestamp;
use serde::{Deserialize, Serialize};
use streams::{Context, Fault, Store};

use crate::change::Known;

/// Events forgotten per call: a long absence is made up for in steps, not in one pause.
const FORGET_MAX: usize = 1000;

const HOUR_MS: i64 = 3_600_000;

/// When an event was handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Handled {
    /// Wall-clock time, milliseconds since the epoch.
    pub(crate) at: Timestamp,
}

/// The two stores.
///
/// `events` has two entries for each event: `id/<source>/<event>` to find it, and
/// `hour/<number>/<source>/<event>` to find the old ones without reading all. `transactions` has one
/// for each transaction, `<source>/<transaction>`, kept for good: a deletion names no account.
#[derive(Clone, Debug)]
pub(crate) struct Memory {
    pub(crate) events: Store<String, Handled>,
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
        Ok(ctx.get(&self.events, &by_id(source, event_id))?.is_some())
    }

    pub(crate) fn remember_event(
        &self,
        ctx: &mut Context<'_>,
        source: &str,
        event_id: &str,
    ) -> Result<(), Fault> {
        let handled = Handled { at: ctx.now() };
        ctx.put(&self.events, &by_id(source, event_id), &handled)?;
        let by_hour = format!("{}{source}/{event_id}", hour_prefix(handled.at));
        ctx.put(&self.events, &by_hour, &handled)
    }

    /// Forgets events that were handled longer than `window` ago, the oldest first; gives their
    /// number.
    pub(crate) fn forget_events(
        &self,
        ctx: &mut Context<'_>,
        window: Duration,
    ) -> Result<usize, Fault> {
        let window_ms = i64::try_from(window.as_millis()).unwrap_or(i64::MAX);
        // The hour of this moment is not over yet, so `to` excludes it.
        let to = hour_prefix(ctx.now().saturating_sub(window_ms));
        let old = ctx.range(&self.events, &"hour/".to_owned(), &to)?;
        let mut forgotten = 0;
        for (by_hour, _) in old.into_iter().take(FORGET_MAX) {
            if let Some((source, event_id)) = event_of(&by_hour) {
                ctx.delete(&self.events, &by_id(source, event_id))?;
            }
            ctx.delete(&self.events, &by_hour)?;
            forgotten += 1;
        }
        Ok(forgotten)
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

fn by_id(source: &str, event_id: &str) -> String {
    format!("id/{source}/{event_id}")
}

/// Nine digits keep the order of the bytes that of the hours for the next hundred thousand years.
fn hour_prefix(at: Timestamp) -> String {
    format!("hour/{:09}/", at.max(0) / HOUR_MS)
}

fn event_of(by_hour: &str) -> Option<(&str, &str)> {
    let (_, rest) = by_hour.strip_prefix("hour/")?.split_once('/')?;
    rest.rsplit_once('/')
}

#[cfg(test)]
mod tests {
    use super::{HOUR_MS, event_of, hour_prefix};

    #[test]
    fn keys_by_hour_stand_in_the_order_of_time_and_give_the_event_back() {
        let early = format!("{}up/event-9", hour_prefix(9 * HOUR_MS));
        let late = format!("{}up/event-1", hour_prefix(10 * HOUR_MS));
        assert!(early < late);
        assert!(late < hour_prefix(11 * HOUR_MS));
        assert_eq!(event_of(&early), Some(("up", "event-9")));
        assert_eq!(event_of("id/up/event-9"), None);
    }
}
