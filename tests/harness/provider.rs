//! A provider of webhooks: it sends each event until somebody takes it, and remembers every answer.
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::Context as _;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use signatures::{Scheme, Secret};
use tokio::task::JoinSet;

use crate::topic::Consumed;

/// Longer than the ingress may take: what has no answer then was not refused by it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// Pause before an event is sent again, and between two events of one sender.
const RETRY_PAUSE: Duration = Duration::from_millis(50);
const EVENT_PAUSE: Duration = Duration::from_millis(5);

/// The record's header with the event's id.
const EVENT_ID_HEADER: &str = "bankstream-event-id";

/// An event of the provider's, and its body as it is sent every time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Its id, which no other event has.
    pub id: String,
    /// Its body.
    pub body: Vec<u8>,
}

impl Webhook {
    /// A new event about nothing.
    pub fn ping() -> Self {
        let webhook = json!({ "webhook": { "data": { "type": "webhooks", "id": "load" } } });
        Self::new("PING", &webhook)
    }

    /// A new event that says that a transaction was made.
    pub fn created(transaction: &str) -> Self {
        let data = json!({ "data": { "type": "transactions", "id": transaction } });
        Self::new("TRANSACTION_CREATED", &json!({ "transaction": data }))
    }

    fn new(kind: &str, relationships: &Value) -> Self {
        let id = format!("{:032x}", fastrand::u128(..));
        let body = json!({ "data": {
            "type": "webhook-events",
            "id": id,
            "attributes": { "eventType": kind, "createdAt": "2026-01-02T03:04:05+10:00" },
            "relationships": relationships,
        } });
        Self { id, body: body.to_string().into_bytes() }
    }
}

/// An answer that somebody gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Whether the event was said to be known already.
    pub is_replay: bool,
    /// Seconds after which the sender may come again, if it was told.
    pub retry_after: Option<String>,
}

/// An event that was sent until it was taken.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The event.
    pub webhook: Webhook,
    /// Every answer, the last of them the acceptance; `None` where there was none.
    pub replies: Vec<Option<Reply>>,
}

#[derive(Debug)]
struct Shared {
    client: Client,
    urls: Vec<String>,
    turn: AtomicUsize,
    secret: RwLock<Secret>,
    taken: AtomicUsize,
    refused: AtomicUsize,
    stop: AtomicBool,
}

/// The provider.
#[derive(Debug, Clone)]
pub struct Provider(Arc<Shared>);

impl Provider {
    /// Sends to each of `urls` in turn, signed with `secret` as Up signs.
    pub fn new(urls: Vec<String>, secret: &str) -> anyhow::Result<Self> {
        let client = Client::builder().no_proxy().timeout(ANSWER_TIMEOUT).build()?;
        Ok(Self(Arc::new(Shared {
            client,
            urls,
            turn: AtomicUsize::new(0),
            secret: RwLock::new(Secret::new(secret)?),
            taken: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
        })))
    }

    /// Signs with another secret from now on.
    pub fn use_secret(&self, secret: &str) -> anyhow::Result<()> {
        let secret = Secret::new(secret)?;
        *self.0.secret.write().unwrap_or_else(PoisonError::into_inner) = secret;
        Ok(())
    }

    /// Events taken so far, by the senders of `begin`.
    pub fn taken(&self) -> usize {
        self.0.taken.load(Ordering::Relaxed)
    }

    /// Answers of 503 so far, to them.
    pub fn refused(&self) -> usize {
        self.0.refused.load(Ordering::Relaxed)
    }

    /// Sends an event once to one address; an error when there was no answer.
    pub async fn post(&self, url: &str, webhook: &Webhook) -> anyhow::Result<Reply> {
        let shared = &self.0;
        let secret = shared.secret.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut request = shared.client.post(url).header("content-type", "application/json");
        // The scheme signs no time.
        for header in signatures::sign(&Scheme::up(), &secret, &webhook.body, 0) {
            request = request.header(header.name, header.value);
        }
        let answer = request.body(webhook.body.clone()).send().await?;
        let status = answer.status();
        let after = answer.headers().get("retry-after").cloned();
        let retry_after = after.and_then(|after| after.to_str().map(str::to_owned).ok());
        let is_replay = answer.text().await?.contains("idempotent_replay");
        Ok(Reply { status, is_replay, retry_after })
    }

    /// Sends an event to one address after the other until it is taken. What is neither taken nor to
    /// be sent again is an error.
    pub async fn deliver(&self, webhook: Webhook) -> anyhow::Result<Delivery> {
        let shared = &self.0;
        let mut replies = Vec::new();
        loop {
            let turn = shared.turn.fetch_add(1, Ordering::Relaxed);
            let url = shared.urls.get(turn % shared.urls.len()).context("no address")?;
            let reply = self.post(url, &webhook).await.ok();
            let status = reply.as_ref().map(|reply| reply.status);
            replies.push(reply);
            match status {
                Some(StatusCode::OK) => return Ok(Delivery { webhook, replies }),
                Some(StatusCode::SERVICE_UNAVAILABLE) => {
                    shared.refused.fetch_add(1, Ordering::Relaxed);
                }
                None => {}
                Some(other) => anyhow::bail!("{} was answered {other}", webhook.id),
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    /// Lets so many senders send new events until they are told to stop.
    pub fn begin(&self, senders: usize) -> JoinSet<anyhow::Result<Vec<Delivery>>> {
        let mut all = JoinSet::new();
        for _ in 0..senders {
            let provider = self.clone();
            all.spawn(async move {
                let mut deliveries = Vec::new();
                while !provider.0.stop.load(Ordering::Relaxed) {
                    deliveries.push(provider.deliver(Webhook::ping()).await?);
                    provider.0.taken.fetch_add(1, Ordering::Relaxed);
                    // A provider does not send without pause, and the test's machine is small.
                    tokio::time::sleep(EVENT_PAUSE).await;
                }
                Ok(deliveries)
            });
        }
        all
    }

    /// Tells the senders to stop, and gives what they have delivered.
    pub async fn end(
        &self,
        mut senders: JoinSet<anyhow::Result<Vec<Delivery>>>,
    ) -> anyhow::Result<Vec<Delivery>> {
        self.0.stop.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        while let Some(deliveries) = senders.join_next().await {
            all.extend(deliveries??);
        }
        Ok(all)
    }
}

/// The raw topic held against what a provider was told, event by event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Audit {
    /// Accepted events that are not on the topic.
    pub missing: Vec<String>,
    /// Those whose record does not have their body's bytes.
    pub altered: Vec<String>,
    /// Records that nobody was told of.
    pub unknown: Vec<String>,
    /// Records beyond the first of their event.
    pub second_copies: u64,
}

impl Audit {
    /// Compares every record with every delivery.
    pub fn of(raw: &[Consumed], deliveries: &[Delivery]) -> Self {
        let mut records: BTreeMap<String, Vec<&Consumed>> = BTreeMap::new();
        for record in raw {
            let id = record.headers.get(EVENT_ID_HEADER).cloned().unwrap_or_default();
            records.entry(String::from_utf8_lossy(&id).into_owned()).or_default().push(record);
        }
        let mut audit = Self::default();
        for Delivery { webhook, .. } in deliveries {
            let Some(copies) = records.remove(&webhook.id) else {
                audit.missing.push(webhook.id.clone());
                continue;
            };
            let has_body = |copy: &&Consumed| {
                let value = copy.value.as_deref().unwrap_or_default();
                value.windows(webhook.body.len()).any(|bytes| bytes == webhook.body)
            };
            if !copies.iter().all(has_body) {
                audit.altered.push(webhook.id.clone());
            }
            audit.second_copies += u64::try_from(copies.len()).unwrap_or(u64::MAX) - 1;
        }
        audit.unknown = records.into_keys().collect();
        audit
    }

    /// Whether everything that was accepted is there as it was sent, and nothing else.
    pub fn agrees(&self) -> bool {
        self.missing.is_empty() && self.altered.is_empty() && self.unknown.is_empty()
    }
}
