//! The remembered ids, forgotten by age and, when there are too many, oldest first.

use std::collections::{BTreeMap, HashMap, VecDeque};

use tokio::sync::watch;

use super::{BodyPrint, EventKey, Fate};
use crate::metrics::DedupeMetrics;

/// Ids are forgotten an hour at a time: one list per hour costs 16 bytes an id, a time per id 8 more
/// and a search.
const HOUR_MS: i64 = 3_600_000;

/// An event that is known.
pub(super) enum Seen {
    Remembered(BodyPrint),
    Pending(BodyPrint, watch::Receiver<Option<Fate>>),
}

#[derive(Debug)]
struct Remembered {
    body: BodyPrint,
    /// Its record was read from the topic, not only acknowledged.
    read: bool,
}

#[derive(Debug)]
pub(super) struct Memory {
    window_ms: i64,
    ids_max: usize,
    remembered: HashMap<EventKey, Remembered>,
    /// Keys in order of arrival, by the hour of their record.
    hours: BTreeMap<i64, VecDeque<EventKey>>,
    pending: HashMap<EventKey, (BodyPrint, watch::Receiver<Option<Fate>>)>,
    metrics: DedupeMetrics,
}

impl Memory {
    pub(super) fn new(window_ms: i64, ids_max: usize, metrics: DedupeMetrics) -> Self {
        Self {
            window_ms,
            ids_max,
            remembered: HashMap::new(),
            hours: BTreeMap::new(),
            pending: HashMap::new(),
            metrics,
        }
    }

    pub(super) fn find(&self, key: EventKey) -> Option<Seen> {
        if let Some(seen) = self.remembered.get(&key) {
            return Some(Seen::Remembered(seen.body));
        }
        let (body, receiver) = self.pending.get(&key)?;
        Some(Seen::Pending(*body, receiver.clone()))
    }

    pub(super) fn begin(
        &mut self,
        key: EventKey,
        body: BodyPrint,
        receiver: watch::Receiver<Option<Fate>>,
    ) {
        self.pending.insert(key, (body, receiver));
    }

    pub(super) fn end(&mut self, key: EventKey) {
        self.pending.remove(&key);
    }

    /// Remembers an accepted event. The first body seen for an id stays.
    pub(super) fn remember(&mut self, key: EventKey, body: BodyPrint, at: i64, read: bool) {
        if let Some(seen) = self.remembered.get_mut(&key) {
            if read && seen.read {
                self.metrics.raw_duplicates.inc();
            }
            seen.read |= read;
            return;
        }
        self.remembered.insert(key, Remembered { body, read });
        self.hours.entry(at.div_euclid(HOUR_MS)).or_default().push_back(key);
        while self.remembered.len() > self.ids_max {
            self.forget_oldest();
        }
        self.count();
    }

    /// Forgets every hour that lies wholly outside the window at the time `now`.
    pub(super) fn expire(&mut self, now: i64) {
        let first = now.saturating_sub(self.window_ms).div_euclid(HOUR_MS);
        while let Some(hour) = self.hours.first_entry().filter(|hour| *hour.key() < first) {
            for key in hour.remove() {
                self.remembered.remove(&key);
            }
            self.count();
        }
    }

    fn forget_oldest(&mut self) {
        let Some(mut hour) = self.hours.first_entry() else { return };
        if let Some(key) = hour.get_mut().pop_front() {
            self.remembered.remove(&key);
            self.metrics.evicted.inc();
        }
        if hour.get().is_empty() {
            hour.remove();
        }
    }

    fn count(&self) {
        self.metrics.ids.set(i64::try_from(self.remembered.len()).unwrap_or(i64::MAX));
    }
}
