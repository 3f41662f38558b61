//! Remembers which events were accepted, so that a provider's retry is answered and not repeated.
//!
//! An event is remembered when the broker has acknowledged its record, or when its record is read
//! from the raw topic (another replica's, one of before a restart, or one whose acknowledgement never
//! came although it had landed). A record whose fate is unknown is not remembered: its sender is told
//! to come again, and the topic may then hold it twice; readers of the topic dedupe by event id.

mod memory;
mod options;
pub(crate) mod snapshot;
mod table;

use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};
use tokio::sync::oneshot;

pub(crate) use self::memory::Frame;
use self::memory::{Memory, Refill, Seen};
pub use self::options::SnapshotOptions;
use self::table::Entry;
use crate::metrics::DedupeMetrics;

/// An event by its source and id: the first 128 bits of a hash. Two of a billion events share one
/// with a chance below 10⁻²⁰.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventKey(u128);

impl EventKey {
    /// The key of an event.
    pub fn new(source: &str, event_id: &str) -> Self {
        let hash = Sha256::new().chain_update(source).chain_update([0]).chain_update(event_id);
        let hash: [u8; 32] = hash.finalize().into();
        let (first, _) = hash.split_first_chunk().unwrap_or((&[0; 16], &[]));
        Self(u128::from_be_bytes(*first))
    }
}

/// It is a hash: 64 bits of it are one, too.
impl std::hash::Hash for EventKey {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        let [_, _, _, _, _, _, _, _, last @ ..] = self.0.to_be_bytes();
        state.write_u64(u64::from_be_bytes(last));
    }
}

impl std::fmt::Display for EventKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Tells bodies apart: 47 bits of SHA-256, which is what fits beside an id. Only genuine bodies of
/// one id are ever compared: nobody can choose them to be alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyPrint(u64);

impl BodyPrint {
    /// The print of a body by its SHA-256 in hex; `None` for anything else.
    pub fn from_hex(sha256: &str) -> Option<Self> {
        let first = sha256.get(..16).filter(|_| sha256.len() == 64)?;
        u64::from_str_radix(first, 16).ok().map(|first| Self(first >> 17))
    }
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// All in-sync replicas have it.
    Accepted,
    /// It failed, or nobody knows.
    Failed,
}

/// Resolves to the fate of a record that is on its way.
#[derive(Debug)]
pub struct Pending(oneshot::Receiver<Fate>);

impl Pending {
    /// Waits for the fate.
    pub async fn fate(self) -> Fate {
        self.0.await.unwrap_or(Fate::Failed)
    }
}

/// What is known about an event.
#[derive(Debug)]
pub enum Claim {
    /// Nothing: publish it and settle the ticket; the fate comes to whoever waits.
    New(Ticket, Pending),
    /// The same event is on its way; its fate is ours.
    InFlight(Pending),
    /// It was accepted.
    Known,
    /// An event of this id was accepted or is on its way, with another body.
    Conflict,
}

/// The memory of events, shared by all requests and the reader of the raw topic.
#[derive(Debug)]
pub struct Dedupe(Mutex<Memory>);

impl Dedupe {
    /// Remembers events for `window_ms` milliseconds, at most `ids_max` of them.
    pub fn new(window_ms: i64, ids_max: usize, metrics: DedupeMetrics) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Memory::new(window_ms, ids_max, metrics))))
    }

    /// Asks for the right to publish an event at the time `now`, milliseconds.
    pub fn claim(self: &Arc<Self>, key: EventKey, body: BodyPrint, now: i64) -> Claim {
        let mut memory = self.lock();
        memory.expire(now);
        match memory.find(key) {
            Some(Seen::Remembered(seen) | Seen::Pending(seen, _)) if seen != body => {
                return Claim::Conflict;
            }
            Some(Seen::Remembered(_)) => return Claim::Known,
            Some(Seen::Pending(_, others)) => {
                let (sender, receiver) = oneshot::channel();
                if others.len() == others.capacity() {
                    others.retain(|waiter| !waiter.is_closed());
                }
                others.push(sender);
                return Claim::InFlight(Pending(receiver));
            }
            None => memory.begin(key, body),
        }
        drop(memory);
        let (sender, receiver) = oneshot::channel();
        let dedupe = Arc::clone(self);
        let ticket = Ticket { dedupe, key, body, at: now, first: Some(sender), fate: Fate::Failed };
        Claim::New(ticket, Pending(receiver))
    }

    /// Notes an event whose record, of the time `at`, was read from the raw topic.
    pub fn observe(&self, key: EventKey, body: BodyPrint, at: i64) {
        self.lock().remember(key, body, at, true);
    }

    /// What a copy made now is to be read with.
    pub(crate) fn frame(&self) -> Frame {
        self.lock().frame()
    }

    /// Appends the entries of one part of the memory; false when there is no such part.
    fn copy_shard(&self, shard: usize, into: &mut Vec<Entry>) -> bool {
        self.lock().copy_shard(shard, into)
    }

    /// Begins a memory of the same bounds that is filled from a copy, at the time `now`.
    fn refill(&self, from: Frame, now: i64) -> Refill {
        self.lock().refill(from, now)
    }

    /// Remembers what a copy held and nothing else; false when it is out of order.
    fn replace(&self, refill: Refill) -> bool {
        self.lock().replace(refill)
    }

    /// Forgets every event.
    pub(crate) fn forget(&self, now: i64) {
        let frame = Frame { evicted_to: 0, ..self.frame() };
        let empty = self.refill(frame, now);
        self.replace(empty);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right and duty to settle one event. Dropping it settles it as failed.
#[derive(Debug)]
pub struct Ticket {
    dedupe: Arc<Dedupe>,
    key: EventKey,
    body: BodyPrint,
    at: i64,
    /// Who began it, to be told first.
    first: Option<oneshot::Sender<Fate>>,
    fate: Fate,
}

impl Ticket {
    /// All in-sync replicas have the record.
    pub fn accepted(mut self) {
        self.fate = Fate::Accepted;
    }

    /// They have not, or nobody knows.
    pub fn failed(self) {}
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut memory = self.dedupe.lock();
        let others = memory.end(self.key);
        if self.fate == Fate::Accepted {
            memory.remember(self.key, self.body, self.at, false);
        }
        drop(memory);
        for waiter in self.first.take().into_iter().chain(others) {
            if waiter.send(self.fate).is_err() {
                tracing::debug!(
                    "nobody waited for a record any more: its sender was told to come again"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests;
