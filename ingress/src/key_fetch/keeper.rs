//! Keeps one source's keys: fetches them, hands them to the door, answers questions about them.

use std::time::Duration;

use serde_json::json;
use signatures::KeySet;
use signatures::source::{LoadError, RemoteKeys, SecretSite, SecretStore};
use streams::Clock;

use super::cache::{Answer, KeyCache, Plan, Verdict};
use super::certificate;
use super::client::{FetchError, KeyClient, KeyRequest};
use super::{Ask, Asks, HELD_MIN, Reply};
use crate::door::Door;

/// How often it looks whether anything is due.
const TICK: Duration = Duration::from_secs(1);

/// Why keys were not taken.
#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("the credentials for {url} are not there: {detail}")]
    Credentials { url: String, detail: String },
    #[error("{url}: {problem}")]
    Unusable { url: String, problem: String },
}

/// Keeps one source's keys.
#[derive(Debug)]
pub struct Keeper<C, S> {
    client: C,
    store: S,
    remote: RemoteKeys,
    cache: KeyCache,
}

impl<C: KeyClient, S: SecretStore> Keeper<C, S> {
    /// A keeper of `remote` that has not fetched anything yet.
    pub fn new(remote: RemoteKeys, client: C, store: S) -> Self {
        let is_named = !matches!(remote, RemoteKeys::Set { .. });
        Self { client, store, remote, cache: KeyCache::new(is_named) }
    }

    /// Keeps the keys of `door` for as long as it is polled; a set is fetched at once. Ends where the
    /// door has no keys to fetch, or another keeper.
    pub async fn keep(mut self, door: &Door, clock: &dyn Clock) {
        let Some(asks) = &door.asks else { return };
        let Some(mut receiver) = asks.take() else { return };
        loop {
            if let Some(plan) = self.cache.due(clock.now()) {
                self.fetch(door, asks, &plan, None, clock).await;
            }
            if let Ok(Some(ask)) = tokio::time::timeout(TICK, receiver.recv()).await {
                self.answer(door, asks, ask, clock).await;
            }
            if let Some(age) = self.cache.age(clock.now()) {
                door.metrics.keys.age.set(age.div_euclid(1000));
            }
        }
    }

    async fn answer(&mut self, door: &Door, asks: &Asks, ask: Ask, clock: &dyn Clock) {
        let key = ask.key.as_deref();
        let reply = if ask.generation == asks.generation() {
            match self.cache.ask(clock.now(), key) {
                Verdict::Known => Reply::LookAgain,
                Verdict::Fetch(plan) => self.fetch(door, asks, &plan, key, clock).await,
                Verdict::Unknown => Reply::Unknown,
                Verdict::Held(wait_ms) => Reply::Held(wait(wait_ms)),
            }
        } else {
            // Fetched for somebody who asked before.
            Reply::LookAgain
        };
        if ask.answer.send(reply).is_err() {
            tracing::debug!(source = door.source.name, "nobody waits for the key any more");
        }
    }

    /// Fetches, and hands what came to the door; gives what that says to who asked for a key.
    async fn fetch(
        &mut self,
        door: &Door,
        asks: &Asks,
        plan: &Plan,
        asked: Option<&str>,
        clock: &dyn Clock,
    ) -> Reply {
        let source = &door.source.name;
        let fetched = self.obtain(door, plan, clock).await;
        let refreshes = &door.metrics.keys;
        let mut says_nothing = false;
        let answer = match fetched {
            Ok(keys) => {
                refreshes.ok.inc();
                asks.answered();
                Answer::Keys(keys)
            }
            Err(problem) => {
                let cause = std::error::Error::source(&problem).map(ToString::to_string);
                let cause = cause.unwrap_or_default();
                tracing::warn!(
                    source,
                    cause,
                    "keys not fetched, those from before stay: {problem}"
                );
                if problem.is_refusal() {
                    refreshes.refused.inc();
                } else {
                    refreshes.failed.inc();
                }
                says_nothing = problem.says_nothing(plan);
                problem.answer(plan)
            }
        };
        let now = clock.now();
        let is_changed = self.cache.fetched(now, plan, asked, answer);
        if says_nothing {
            return Reply::Held(wait(self.cache.held_for(now).unwrap_or_default()));
        }
        if !is_changed {
            return Reply::Unknown;
        }
        if let Err(error) = door.renew(self.cache.keys()) {
            tracing::error!(source, "the fetched keys cannot be used: {error}");
            return Reply::Unknown;
        }
        asks.changed();
        let keys: Vec<_> = door.verifier().key_ids().map(str::to_owned).collect();
        tracing::info!(source, ?keys, "keys fetched");
        Reply::LookAgain
    }

    async fn obtain(
        &self,
        door: &Door,
        plan: &Plan,
        clock: &dyn Clock,
    ) -> Result<KeySet, KeepError> {
        let request = self.request(door, plan)?;
        let url = request.url.clone();
        let answer = self.client.fetch(request).await?;
        let unusable = |problem: String| KeepError::Unusable { url: url.clone(), problem };
        let scheme = &door.source.scheme;
        let keys = match &self.remote {
            RemoteKeys::Certificates { name, roots } => {
                let roots = roots.as_ref().map(|file| self.store.file(file)).transpose();
                let roots =
                    roots.map_err(|error| unusable(format!("reading the roots: {error}")))?;
                let own = certificate::checked(&answer, name, roots.as_deref(), clock.now());
                let own = own.map_err(|error| unusable(error.to_string()))?;
                KeySet::from_certificate(scheme, &url, &own)
            }
            RemoteKeys::Set { .. } | RemoteKeys::OnRequest { .. } => {
                KeySet::from_json(scheme, &answer)
            }
        };
        let keys = keys.map_err(|error| unusable(error.to_string()))?;
        match plan {
            Plan::Set if keys.is_empty() => Err(unusable("no key that fits is in the set".into())),
            Plan::Named(name) if !keys.is_empty() && !keys.has(name) => {
                Err(unusable("another key than the one asked for".into()))
            }
            _ => Ok(keys),
        }
    }

    fn request(&self, door: &Door, plan: &Plan) -> Result<KeyRequest, KeepError> {
        let text = |url: &str, site: &SecretSite| {
            let credentials = |detail| KeepError::Credentials { url: url.to_owned(), detail };
            let text = door.source.text(&self.store, site);
            let text = text.map_err(|error: LoadError| credentials(error.to_string()))?;
            let text = text.ok_or_else(|| credentials(format!("{site} is not set")))?;
            let text =
                String::from_utf8(text).map_err(|_| credentials(format!("{site}: no text")))?;
            Ok::<_, KeepError>(text.trim().to_owned())
        };
        match (&self.remote, plan) {
            (RemoteKeys::OnRequest { url, client_id, secret }, plan) => {
                let key = match plan {
                    Plan::Named(name) => name.as_str(),
                    Plan::Set => "",
                };
                let post = json!({
                    "client_id": text(url, client_id)?,
                    "secret": text(url, secret)?,
                    "key_id": key,
                });
                Ok(KeyRequest { url: url.clone(), token: None, post: Some(post.to_string()) })
            }
            // The address was held to the scheme's hosts when the request's head was read.
            (RemoteKeys::Certificates { .. }, Plan::Named(url)) => {
                Ok(KeyRequest { url: url.clone(), token: None, post: None })
            }
            (RemoteKeys::Set { url, token }, _) => {
                let token = token.as_ref().map(|site| text(url, site)).transpose()?;
                Ok(KeyRequest { url: url.clone(), token, post: None })
            }
            (RemoteKeys::Certificates { .. }, Plan::Set) => Err(KeepError::Unusable {
                url: String::new(),
                problem: "certificates are fetched by name".to_owned(),
            }),
        }
    }
}

/// How long a sender waits that is to come again after so many milliseconds.
fn wait(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0)).max(HELD_MIN)
}

impl KeepError {
    /// What it says about the keys.
    fn answer(&self, plan: &Plan) -> Answer {
        match (self, plan) {
            (Self::Fetch(FetchError::Status { status, .. }), Plan::Named(_))
                if matches!(status.as_u16(), 400 | 404 | 410) =>
            {
                Answer::Missing
            }
            _ => Answer::Failed,
        }
    }

    /// Whether it leaves open if there is such a key. What a name alone leads to is about that key, even
    /// if it cannot be used; a set that cannot be is the provider's trouble.
    fn says_nothing(&self, plan: &Plan) -> bool {
        let is_of_the_key = matches!(plan, Plan::Named(_)) && self.is_refusal();
        !is_of_the_key && !matches!(self.answer(plan), Answer::Missing)
    }

    /// Whether the provider answered, with something that cannot be used.
    fn is_refusal(&self) -> bool {
        matches!(self, Self::Unusable { .. } | Self::Fetch(FetchError::TooLarge { .. }))
    }
}
