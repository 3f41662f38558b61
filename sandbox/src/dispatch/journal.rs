//! Every event made and what became of it: the truth that a receiver is compared with.

use std::collections::{HashMap, VecDeque};

use serde::Serialize;

use crate::bank::EventType;

/// Events remembered; the oldest are forgotten (about 300 bytes each).
const ENTRIES_MAX: usize = 200_000;

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// On its way or waiting for the next attempt.
    Pending,
    /// Answered 200 at least once.
    Delivered,
    /// Never sent, as the faults asked.
    Lost,
    /// Every attempt failed.
    GivenUp,
    /// Its webhook was deleted first, or the queue was full.
    Dropped,
}

/// One event to one webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The event's id, as in its body.
    pub id: String,
    /// The webhook it is for.
    pub webhook: String,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: EventType,
    /// To which transaction; `None` for a ping.
    pub transaction: Option<String>,
    /// Milliseconds since the epoch.
    pub created_at: i64,
    /// What became of it.
    pub fate: Fate,
}

/// The events, oldest first.
#[derive(Debug, Default)]
pub struct Journal {
    entries: VecDeque<Entry>,
    first: usize,
    places: HashMap<String, usize>,
}

impl Journal {
    /// Writes down a new event.
    pub fn add(&mut self, entry: Entry) {
        if self.entries.len() >= ENTRIES_MAX
            && let Some(oldest) = self.entries.pop_front()
        {
            self.places.remove(&oldest.id);
            self.first += 1;
        }
        self.places.insert(entry.id.clone(), self.first + self.entries.len());
        self.entries.push_back(entry);
    }

    /// Notes what became of an event. A delivered one stays delivered: its duplicate may still fail.
    pub fn settle(&mut self, event: &str, fate: Fate) {
        let place = self.places.get(event).and_then(|place| place.checked_sub(self.first));
        if let Some(entry) = place.and_then(|place| self.entries.get_mut(place))
            && entry.fate != Fate::Delivered
        {
            entry.fate = fate;
        }
    }

    /// Every remembered event, oldest first.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }
}
