//! One source's door: who may come in, and with what.

mod missing;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use signatures::source::{Event, LoadError, Loaded, SecretStore, SourceConfig};
use signatures::{Freshness, Headers, KeySet, Occurrence, Reason, Verified, Verifier};
use warp::http::HeaderMap;
use warp::http::header::USER_AGENT;

pub use self::missing::OpenError;
use crate::complaints::Complaints;
use crate::key_fetch::Asks;
use crate::metrics::{Metrics, SourceMetrics};

/// A declared source with its active keys.
#[derive(Debug)]
pub struct Door {
    /// The declaration.
    pub source: SourceConfig,
    /// Its metrics.
    pub metrics: SourceMetrics,
    /// What the log has been told of its rejected requests.
    pub complaints: Complaints,
    /// The same of genuine ones that are no events.
    no_events: Complaints,
    /// Whom to ask for keys that are not known, where the provider publishes them.
    pub asks: Option<Asks>,
    /// Replaced as a whole when keys change; requests under way keep the one they took.
    verifier: RwLock<Arc<Verifier>>,
    /// The same keys without regard to time: what it says lets nobody in.
    timeless: RwLock<Arc<Verifier>>,
    /// What it was made of.
    keys: Mutex<(Loaded, KeySet)>,
}

/// The request's headers as the verifier reads them.
struct Request<'a>(&'a HeaderMap);

impl Headers for Request<'_> {
    fn find(&self, name: &str) -> Occurrence<'_> {
        let mut values = self.0.get_all(name).iter();
        match (values.next(), values.next()) {
            (None, _) => Occurrence::Absent,
            (Some(value), None) => Occurrence::Once(value.as_bytes()),
            (Some(_), Some(_)) => Occurrence::Repeated,
        }
    }
}

impl Door {
    /// Opens a source with the secrets that `store` has for it.
    pub fn open(
        source: SourceConfig,
        store: &impl SecretStore,
        metrics: &Metrics,
    ) -> Result<Self, OpenError> {
        let loaded = source.load_secrets(store);
        let loaded = loaded.map_err(|error| OpenError::of(error, &source, store))?;
        let verifier = source.verifier_with(loaded.clone(), &KeySet::default())?;
        let timeless = timeless(&source, loaded.clone(), &KeySet::default())?;
        let metrics = metrics.source(&source.name);
        metrics.keys.active(std::iter::empty(), verifier.key_ends());
        let asks = source.remote.as_ref().map(|_| Asks::default());
        let [verifier, timeless] = [verifier, timeless].map(|it| RwLock::new(Arc::new(it)));
        let keys = Mutex::default();
        let [complaints, no_events] = [(); 2].map(|()| Complaints::default());
        let door = Self { source, metrics, complaints, no_events, asks, verifier, timeless, keys };
        door.lock_keys().0 = loaded;
        Ok(door)
    }

    /// Loads the secrets again; when that fails the ones from before stay active.
    pub fn reload(&self, store: &impl SecretStore) -> Result<(), OpenError> {
        let loaded = self.source.load_secrets(store);
        let loaded = loaded.map_err(|error| OpenError::of(error, &self.source, store))?;
        let mut keys = self.lock_keys();
        self.replace(loaded.clone(), &keys.1)?;
        keys.0 = loaded;
        Ok(())
    }

    /// Takes keys that were fetched in place of those fetched before; when they cannot be used the
    /// ones from before stay active.
    pub fn renew(&self, fetched: KeySet) -> Result<(), LoadError> {
        let mut keys = self.lock_keys();
        self.replace(keys.0.clone(), &fetched)?;
        keys.1 = fetched;
        Ok(())
    }

    fn replace(&self, loaded: Loaded, fetched: &KeySet) -> Result<(), LoadError> {
        let late = Arc::new(timeless(&self.source, loaded.clone(), fetched)?);
        let fresh = Arc::new(self.source.verifier_with(loaded, fetched)?);
        self.metrics.keys.active(self.verifier().key_ends(), fresh.key_ends());
        *self.verifier.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        *self.timeless.write().unwrap_or_else(PoisonError::into_inner) = late;
        Ok(())
    }

    fn lock_keys(&self) -> MutexGuard<'_, (Loaded, KeySet)> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The active keys.
    pub fn verifier(&self) -> Arc<Verifier> {
        self.verifier.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether any key is active.
    pub fn has_keys(&self) -> bool {
        self.verifier().key_ids().next().is_some()
    }

    /// The key that a request names, if any; nothing of it is proven. `None` where the request cannot
    /// be read.
    pub fn claimed_key(&self, headers: &HeaderMap, body: &[u8]) -> Option<Option<String>> {
        self.verifier().claimed_key(&Request(headers), body)
    }

    /// Judges a request received at the time `now`, milliseconds, by its exact bytes; reads them
    /// as an event only after they are proven genuine.
    pub fn judge(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: i64,
    ) -> Result<(Verified, Event), Reason> {
        self.judge_with(&self.verifier(), headers, body, now)
    }

    /// What a request would prove if its time were right. For one that was refused for its time: the
    /// time is looked at first, so whether it is all that is wrong is not known by then. It costs what
    /// a forgery costs whose time is right.
    pub fn judge_but_for_time(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: i64,
    ) -> Option<(Verified, Event)> {
        let timeless = self.timeless.read().unwrap_or_else(PoisonError::into_inner).clone();
        self.judge_with(&timeless, headers, body, now).ok()
    }

    fn judge_with(
        &self,
        verifier: &Verifier,
        headers: &HeaderMap,
        body: &[u8],
        now: i64,
    ) -> Result<(Verified, Event), Reason> {
        self.check_user_agent(headers)?;
        let verified = verifier.verify(&Request(headers), body, now)?;
        let event = self.source.event.read_from(&Request(headers), body).map_err(|problem| {
            if let Some(unsaid) = self.no_events.may_say() {
                let source = &self.source.name;
                tracing::warn!(source, unsaid, "a genuine body is no event: {problem}");
            }
            Reason::InvalidPayload
        })?;
        Ok((verified, event))
    }

    fn check_user_agent(&self, headers: &HeaderMap) -> Result<(), Reason> {
        let Some(expected) = &self.source.user_agent else { return Ok(()) };
        match Request(headers).find(USER_AGENT.as_str()) {
            Occurrence::Once(given) if given == expected.as_bytes() => Ok(()),
            Occurrence::Absent => Err(Reason::MissingHeaders),
            Occurrence::Once(_) | Occurrence::Repeated => Err(Reason::MalformedHeader),
        }
    }
}

/// A verifier to which any time is fresh.
fn timeless(
    source: &SourceConfig,
    loaded: Loaded,
    fetched: &KeySet,
) -> Result<Verifier, LoadError> {
    let mut source = source.clone();
    let any = Freshness { past_ms: i64::MAX, future_ms: i64::MAX };
    source.scheme.freshness = source.scheme.freshness.map(|_| any);
    source.verifier_with(loaded, fetched)
}
