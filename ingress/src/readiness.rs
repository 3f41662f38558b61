//! Whether webhooks can be taken, and if not, what is waited for.

use std::sync::{Mutex, PoisonError};

/// What the ingress waits for.
#[derive(Debug)]
pub struct Readiness(Mutex<Option<String>>);

impl Default for Readiness {
    fn default() -> Self {
        Self(Mutex::new(Some("starting".to_owned())))
    }
}

impl Readiness {
    /// Everything is there.
    pub fn ready(&self) {
        self.set(None);
    }

    /// Something is not: `what` completes "waiting for".
    pub fn waiting_for(&self, what: impl Into<String>) {
        self.set(Some(what.into()));
    }

    /// What is waited for; `None` when ready.
    pub fn missing(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, state: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}
