//! Whether webhooks can be taken, and if not, what is waited for.

mod kafka;
mod probe;

use std::sync::{Mutex, PoisonError};

pub(crate) use self::kafka::Acknowledgements;
pub(crate) use self::probe::watch;

/// What the ingress waits for.
#[derive(Debug)]
pub struct Readiness {
    start: Mutex<Option<String>>,
    /// Whether Kafka acknowledges, once all of the start is there.
    pub(crate) kafka: Acknowledgements,
}

impl Default for Readiness {
    fn default() -> Self {
        let start = Mutex::new(Some("starting".to_owned()));
        Self { start, kafka: Acknowledgements::default() }
    }
}

impl Readiness {
    /// Everything that a start needs is there.
    pub fn ready(&self) {
        self.set(None);
    }

    /// Something is not: `what` completes "waiting for".
    pub fn waiting_for(&self, what: impl Into<String>) {
        self.set(Some(what.into()));
    }

    /// What a start still waits for; `None` from when on requests are tried. They are tried also while
    /// Kafka does not acknowledge: the first that it takes is the end of that.
    pub fn missing(&self) -> Option<String> {
        self.start.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is waited for by whoever has a webhook to bring; `None` when it will be taken.
    pub fn report(&self) -> Option<String> {
        self.missing().or_else(|| self.kafka.silence().map(|silence| silence.to_string()))
    }

    fn set(&self, state: Option<String>) {
        *self.start.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}
