//! What is counted.

use banks::BudgetState;
use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The bank was asked, its answer recorded.
    Enriched,
    /// A deletion was recorded.
    Deleted,
    /// The event was handled before.
    Duplicate,
    /// The transaction's deletion was recorded before.
    AlreadyDeleted,
    /// The bank no longer knows the transaction; the deletion's own event tells, or has told.
    Gone,
    /// A test of the connection.
    Ping,
    /// A request of our own that proves the way in.
    Canary,
    /// A source without a client here.
    OtherSource,
    /// A kind of event we do not know.
    UnknownType,
}

impl Fate {
    const ALL: [Self; 9] = [
        Self::Enriched,
        Self::Deleted,
        Self::Duplicate,
        Self::AlreadyDeleted,
        Self::Gone,
        Self::Ping,
        Self::Canary,
        Self::OtherSource,
        Self::UnknownType,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Enriched => "enriched",
            Self::Deleted => "deleted",
            Self::Duplicate => "duplicate",
            Self::AlreadyDeleted => "already-deleted",
            Self::Gone => "gone",
            Self::Ping => "ping",
            Self::Canary => "canary",
            Self::OtherSource => "other-source",
            Self::UnknownType => "unknown-type",
        }
    }
}

/// The numbers of this application.
#[derive(Clone, Debug)]
pub(crate) struct Numbers {
    events: IntCounterVec,
    remaining: IntGaugeVec,
}

impl Numbers {
    pub(crate) fn new() -> Result<Self, prometheus::Error> {
        let events = IntCounterVec::new(
            Opts::new("events_total", "Events by what became of them"),
            &["fate"],
        )?;
        for fate in Fate::ALL {
            events.with_label_values(&[fate.as_str()]);
        }
        let remaining = IntGaugeVec::new(
            Opts::new("up_ratelimit_remaining", "Requests the bank still takes in this hour"),
            &["source"],
        )?;
        Ok(Self { events, remaining })
    }

    pub(crate) fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.events.clone()))?;
        registry.register(Box::new(self.remaining.clone()))
    }

    pub(crate) fn count(&self, fate: Fate) {
        self.events.with_label_values(&[fate.as_str()]).inc();
    }

    pub(crate) fn show_budget(&self, source: &str, budget: BudgetState) {
        self.remaining.with_label_values(&[source]).set(i64::from(budget.remaining));
    }

    #[cfg(test)]
    pub(crate) fn counted(&self, fate: Fate) -> u64 {
        self.events.with_label_values(&[fate.as_str()]).get()
    }
}
