//! Registered webhooks and what was delivered to them.

use std::collections::VecDeque;
use std::sync::Arc;

use fastrand::Rng;
use serde::Serialize;

use crate::ids::{self, Purpose};
use crate::secret::Secret;

/// The bank keeps no more at a time.
pub const WEBHOOKS_MAX: usize = 10;
/// Entries kept per webhook; the oldest are purged.
const LOG_ENTRIES_MAX: usize = 10_000;

/// How a delivery attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DeliveryStatus {
    /// The URL answered 200.
    Delivered,
    /// Nobody answered in time.
    Undeliverable,
    /// The URL answered something other than 200.
    BadResponseCode,
}

/// What a webhook's URL answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// The body's beginning, as text.
    pub body: String,
}

/// One attempt to deliver an event.
#[derive(Debug, Clone)]
pub struct LogEntry {
    /// UUID.
    pub id: String,
    /// The event's id, the same in every attempt.
    pub event: String,
    /// Exactly what was signed and sent.
    pub body: Arc<str>,
    /// `None` if nobody answered.
    pub response: Option<Response>,
    /// How it ended.
    pub status: DeliveryStatus,
    /// Milliseconds since the epoch.
    pub created_at: i64,
    /// Order of arrival in this log.
    pub sequence: u64,
}

/// A registered webhook.
#[derive(Debug)]
pub struct Webhook {
    /// UUID.
    pub id: String,
    /// Where events are posted.
    pub url: String,
    /// What the customer calls it.
    pub description: Option<String>,
    /// Signs every event; shown once.
    pub secret: Secret,
    /// Milliseconds since the epoch.
    pub created_at: i64,
    /// Order of creation.
    pub sequence: u64,
    log: VecDeque<LogEntry>,
}

impl Webhook {
    /// The delivery log, newest first.
    pub fn log(&self) -> impl Iterator<Item = &LogEntry> {
        self.log.iter().rev()
    }
}

/// The registered webhooks, oldest first.
#[derive(Debug)]
pub struct Webhooks {
    all: Vec<Webhook>,
    sequence: u64,
    ids: Rng,
    entries: Rng,
}

impl Webhooks {
    /// None yet; identifiers and secrets will follow from `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            all: Vec::new(),
            sequence: 0,
            ids: ids::generator(seed, Purpose::Webhooks),
            entries: ids::generator(seed, Purpose::Deliveries),
        }
    }

    /// Every webhook, oldest first.
    pub fn all(&self) -> &[Webhook] {
        &self.all
    }

    /// One webhook.
    pub fn get(&self, id: &str) -> Option<&Webhook> {
        self.all.iter().find(|webhook| webhook.id == id)
    }

    /// Registers a URL; `None` once there are [`WEBHOOKS_MAX`].
    pub fn create(&mut self, url: &str, description: Option<&str>, now: i64) -> Option<&Webhook> {
        if self.all.len() >= WEBHOOKS_MAX {
            return None;
        }
        self.sequence += 1;
        self.all.push(Webhook {
            id: ids::uuid(&mut self.ids),
            url: url.to_owned(),
            description: description.map(str::to_owned),
            secret: ids::signing_key(&mut self.ids),
            created_at: now,
            sequence: self.sequence,
            log: VecDeque::new(),
        });
        self.all.last()
    }

    /// Forgets a webhook and its log; false if there was none.
    pub fn delete(&mut self, id: &str) -> bool {
        let before = self.all.len();
        self.all.retain(|webhook| webhook.id != id);
        self.all.len() < before
    }

    /// Notes an attempt; nothing if the webhook is gone by now.
    pub fn note(
        &mut self,
        webhook: &str,
        event: &str,
        body: Arc<str>,
        response: Option<Response>,
        now: i64,
    ) {
        self.sequence += 1;
        let (id, sequence) = (ids::uuid(&mut self.entries), self.sequence);
        let Some(webhook) = self.all.iter_mut().find(|other| other.id == webhook) else { return };
        let status = match response.as_ref().map(|response| response.status) {
            Some(200) => DeliveryStatus::Delivered,
            Some(_) => DeliveryStatus::BadResponseCode,
            None => DeliveryStatus::Undeliverable,
        };
        if webhook.log.len() >= LOG_ENTRIES_MAX {
            webhook.log.pop_front();
        }
        let event = event.to_owned();
        webhook.log.push_back(LogEntry {
            id,
            event,
            body,
            response,
            status,
            created_at: now,
            sequence,
        });
    }
}
