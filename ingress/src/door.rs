//! One source's door: who may come in, and with what.

use std::sync::{Arc, PoisonError, RwLock};

use signatures::source::{Event, LoadError, SecretSite, SecretStore, SourceConfig};
use signatures::{Headers, Occurrence, Reason, Verified, Verifier};
use warp::http::HeaderMap;
use warp::http::header::USER_AGENT;

use crate::metrics::{Metrics, SourceMetrics};

/// A declared source with its active keys.
#[derive(Debug)]
pub struct Door {
    /// The declaration.
    pub source: SourceConfig,
    /// Its metrics.
    pub metrics: SourceMetrics,
    /// Replaced as a whole when secrets change; requests under way keep the one they took.
    verifier: RwLock<Arc<Verifier>>,
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
    ) -> Result<Self, LoadError> {
        let verifier = RwLock::new(Arc::new(source.verifier(store)?));
        let metrics = metrics.source(&source.name);
        Ok(Self { source, metrics, verifier })
    }

    /// Loads the secrets again; when that fails the ones from before stay active.
    pub fn reload(&self, store: &impl SecretStore) -> Result<(), LoadError> {
        let fresh = Arc::new(self.source.verifier(store)?);
        *self.verifier.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// The active keys.
    pub fn verifier(&self) -> Arc<Verifier> {
        self.verifier.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The files its secrets are in.
    pub fn secret_files(&self) -> impl Iterator<Item = &std::path::Path> {
        self.source.secrets.iter().filter_map(|secret| match &secret.site {
            SecretSite::File(path) => Some(path.as_path()),
            SecretSite::Env(_) => None,
        })
    }

    /// Judges a request received at the time `now`, milliseconds, by its exact bytes; reads them
    /// as an event only after they are proven genuine.
    pub fn judge(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: i64,
    ) -> Result<(Verified, Event), Reason> {
        self.check_user_agent(headers)?;
        let verified = self.verifier().verify(&Request(headers), body, now)?;
        let event = self.source.event.read_from(&Request(headers), body).map_err(|problem| {
            tracing::warn!(source = self.source.name, "a genuine body is no event: {problem}");
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
