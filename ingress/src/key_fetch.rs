//! Keys that providers publish: fetched from where configuration says, kept, and renewed.
//!
//! One task for each such source, its `keeper`, does all of its fetching, so that two fetches of one
//! source cannot overlap. Whether to fetch is decided without I/O by its `cache`. A request that
//! names a key nobody knows [asks](Asks) the keeper and waits for its word, for a short while and not
//! together with any number of others; forged names cost the provider nothing.

#[cfg(test)]
mod authority;
mod cache;
mod certificate;
mod client;
mod keeper;
#[cfg(test)]
pub(crate) mod provider;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use signatures::source::{Event, RemoteKeys};
use signatures::{Reason, Verified};
use tokio::sync::{mpsc, oneshot};
use warp::http::HeaderMap;

pub use self::client::{ClientError, FetchError, HttpKeys, KeyClient, KeyRequest};
pub use self::keeper::Keeper;
use crate::door::Door;

/// Requests of one source that wait for a key at once; each holds its body meanwhile. One more is told
/// to come again.
const WAITERS_MAX: usize = 32;

/// The longest that a request waits for a key: several round trips around the world.
const WAIT_MAX: Duration = Duration::from_secs(3);

/// After how long at least a request comes again whose key could not be asked for.
const HELD_MIN: Duration = Duration::from_secs(5);

/// What requests ask of a source's keeper.
#[derive(Debug)]
pub struct Asks {
    sender: mpsc::Sender<Ask>,
    /// Taken by the keeper.
    receiver: Mutex<Option<mpsc::Receiver<Ask>>>,
    /// Counts the changes of the keys.
    generation: AtomicU64,
    /// Whether the provider ever gave an answer.
    is_answered: AtomicBool,
}

/// A request's question.
#[derive(Debug)]
struct Ask {
    /// The key it names; `None` where its scheme has no names for keys.
    key: Option<String>,
    /// The keys it was judged with.
    generation: u64,
    answer: oneshot::Sender<Reply>,
}

/// The keeper's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reply {
    /// The keys have changed, or have the one that was asked for.
    LookAgain,
    /// There is no such key.
    Unknown,
    /// Whether there is cannot be said before this time has passed.
    Held(Duration),
}

/// Why a request is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is not genuine, for this reason.
    Rejected(Reason),
    /// Whether it is genuine cannot be said: its source has no key yet, as the provider has not
    /// answered since we started.
    NoKeys,
    /// Whether its key exists cannot be said: the provider was asked for another one shortly before,
    /// or does not answer. After this time it may be.
    KeyHeld(Duration),
}

impl Default for Asks {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel(WAITERS_MAX);
        Self {
            sender,
            receiver: Mutex::new(Some(receiver)),
            generation: AtomicU64::new(0),
            is_answered: AtomicBool::new(false),
        }
    }
}

impl Asks {
    fn take(&self) -> Option<mpsc::Receiver<Ask>> {
        self.receiver.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Notes that the keys are others now.
    fn changed(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Notes that the provider has spoken about keys.
    fn answered(&self) {
        self.is_answered.store(true, Ordering::Release);
    }

    fn is_answered(&self) -> bool {
        self.is_answered.load(Ordering::Acquire)
    }

    async fn ask(&self, key: Option<String>, generation: u64, wait: Duration) -> Reply {
        let (answer, reply) = oneshot::channel();
        if self.sender.try_send(Ask { key, generation, answer }).is_err() {
            return Reply::Held(HELD_MIN);
        }
        match tokio::time::timeout(wait.min(WAIT_MAX), reply).await {
            Ok(Ok(reply)) => reply,
            // No word in time, or the keeper has stopped.
            Ok(Err(_)) | Err(_) => Reply::Held(HELD_MIN),
        }
    }
}

/// Judges a request as [`Door::judge`] does; one of a key that is not known may wait until its source
/// has asked for it, and is judged again with what came. It waits no longer than `spare`, which is
/// what its provider's patience leaves beside all else.
pub async fn judge(
    door: &Door,
    headers: &HeaderMap,
    body: &[u8],
    now: i64,
    spare: Duration,
) -> Result<(Verified, Event), Refusal> {
    let generation = door.asks.as_ref().map(Asks::generation);
    let reason = match door.judge(headers, body, now) {
        Ok(judged) => return Ok(judged),
        Err(reason) => reason,
    };
    let (Some(asks), Some(generation)) = (&door.asks, generation) else {
        return Err(Refusal::Rejected(reason));
    };
    let Some(key) = wanted(door, headers, body, reason) else {
        return Err(Refusal::Rejected(reason));
    };
    door.metrics.keys.unknown.inc();
    let is_named = key.is_some();
    let is_fetchable = is_named || matches!(door.source.remote, Some(RemoteKeys::Set { .. }));
    match asks.ask(key, generation, spare).await {
        Reply::LookAgain => door.judge(headers, body, now).map_err(Refusal::Rejected),
        Reply::Unknown | Reply::Held(_)
            if is_fetchable && !door.has_keys() && !asks.is_answered() =>
        {
            Err(Refusal::NoKeys)
        }
        // A forged name must not make the genuine one behind it be refused for good. Where requests
        // name no key every forgery would be told to come again.
        Reply::Held(wait) if is_named => Err(Refusal::KeyHeld(wait)),
        Reply::Unknown | Reply::Held(_) => Err(Refusal::Rejected(reason)),
    }
}

/// What another set of keys would have to hold to let the request in: a key of this name, or just
/// other keys. `None` where no set would.
#[expect(clippy::option_option, reason = "no name and no such set differ")]
fn wanted(door: &Door, headers: &HeaderMap, body: &[u8], reason: Reason) -> Option<Option<String>> {
    let claimed = match reason {
        Reason::UnknownKey | Reason::SignatureMismatch => door.claimed_key(headers, body)?,
        _ => return None,
    };
    // A key that is known and did not sign this is no reason to ask for others.
    (reason == Reason::UnknownKey || claimed.is_none()).then_some(claimed)
}

#[cfg(test)]
mod tests;
