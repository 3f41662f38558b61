//! The whole bank: its books, its webhooks, its faults and what is on its way.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fastrand::Rng;
use serde_json::Value;
use signatures::Scheme;
use tokio::sync::Notify;

use crate::api::{Budget, Resources};
use crate::bank::{Bank, Error, Event, EventType};
use crate::clock::Clock;
use crate::config::Config;
use crate::dispatch::{
    Course, Delay, Delivery, Entry, Fate, Forgery, Next, Outbox, Retries, Sender,
};
use crate::faults::Faults;
use crate::ids::{self, Purpose};
use crate::secret::Secret;
use crate::webhooks::{Response, Webhooks};

/// Everything the bank is. One lock guards it: no operation waits for anything while it holds it.
#[derive(Debug)]
pub struct World {
    /// The one bearer token.
    pub token: Secret,
    /// The books.
    pub bank: Bank,
    /// Who is told.
    pub webhooks: Webhooks,
    /// Requests left in this hour.
    pub budget: Budget,
    /// What goes wrong.
    pub faults: Faults,
    /// What is on its way.
    pub outbox: Outbox,
    /// Whether a generated day is running.
    pub scenario_running: bool,
    /// Decides the API's failures and latency.
    pub api_luck: Rng,
    resources: Resources,
    clock: Arc<dyn Clock>,
    fault_luck: Rng,
    event_ids: Rng,
}

impl World {
    /// An empty bank. Links in webhook events start with `origin`.
    pub fn new(config: &Config, origin: &str, clock: Arc<dyn Clock>) -> Self {
        let retries = Retries {
            base_ms: config.retry_base_ms,
            cap_ms: config.retry_cap_ms,
            attempts_max: config.retry_attempts,
        };
        Self {
            token: config.token.clone(),
            bank: Bank::new(config.seed),
            webhooks: Webhooks::new(config.seed),
            budget: Budget::new(config.rate_limit),
            faults: config.faults.clone(),
            outbox: Outbox::new(config.seed, retries),
            scenario_running: false,
            api_luck: ids::generator(config.seed, Purpose::Api),
            resources: Resources::new(origin),
            clock,
            fault_luck: ids::generator(config.seed, Purpose::Faults),
            event_ids: ids::generator(config.seed, Purpose::Events),
        }
    }

    /// Milliseconds since the epoch.
    pub fn now(&self) -> i64 {
        self.clock.now()
    }

    /// Does something to the books and tells every webhook.
    pub fn apply<F>(&mut self, course: Course, operation: F) -> Result<Vec<Event>, Error>
    where
        F: FnOnce(&mut Bank, i64) -> Result<Vec<Event>, Error>,
    {
        let events = operation(&mut self.bank, self.clock.now())?;
        let webhooks: Vec<_> = self.webhooks.all().iter().map(|one| one.id.clone()).collect();
        for event in &events {
            for webhook in &webhooks {
                self.announce(webhook, event.kind, Some(&event.transaction), course);
            }
        }
        Ok(events)
    }

    /// Sends a ping and gives its document; `None` without such a webhook.
    pub fn ping(&mut self, webhook: &str) -> Option<Value> {
        self.announce(webhook, EventType::Ping, None, Course::Clean)
    }

    fn announce(
        &mut self,
        webhook: &str,
        kind: EventType,
        transaction: Option<&str>,
        course: Course,
    ) -> Option<Value> {
        let now = self.now();
        let id = ids::uuid(&mut self.event_ids);
        let document = self.resources.event(&id, kind, webhook, transaction, now);
        let delivery = self.delivery(webhook, &id, &document)?;
        let plan = course.plan(&self.faults, &mut self.fault_luck);
        let counts = &mut self.outbox.counts;
        counts.events += 1;
        counts.lost += u64::from(plan.lost);
        self.outbox.journal.add(Entry {
            id,
            webhook: webhook.to_owned(),
            kind,
            transaction: transaction.map(str::to_owned),
            created_at: now,
            fate: if plan.lost { Fate::Lost } else { Fate::Pending },
        });
        if plan.forged {
            self.forge(webhook, None);
        }
        if plan.lost {
            return Some(document);
        }
        let counts = &mut self.outbox.counts;
        counts.reordered += u64::from(matches!(plan.delay, Delay::Reordered(_)));
        counts.late += u64::from(matches!(plan.delay, Delay::Late(_)));
        counts.duplicated += u64::from(plan.duplicate_after_ms.is_some());
        if let Some(after) = plan.duplicate_after_ms {
            self.outbox.push(now.saturating_add_unsigned(after), delivery.clone());
        }
        self.outbox.push(now.saturating_add_unsigned(plan.delay.ms()), delivery);
        Some(document)
    }

    fn delivery(&self, webhook: &str, event: &str, document: &Value) -> Option<Delivery> {
        let webhook = self.webhooks.get(webhook)?;
        let body: Arc<str> = document.to_string().into();
        Some(Delivery {
            webhook: webhook.id.clone(),
            url: webhook.url.clone(),
            event: event.to_owned(),
            headers: sign(&webhook.secret, &body, self.now())?,
            body,
            attempts: 0,
            sender: Sender::Bank,
        })
    }

    /// Sends an event the bank never made to a webhook's URL; `None` without such a webhook.
    pub fn forge(&mut self, webhook: &str, forgery: Option<Forgery>) -> Option<()> {
        let now = self.now();
        let forgery = forgery.unwrap_or_else(|| Forgery::any(&mut self.fault_luck));
        let (id, transaction) = (ids::uuid(&mut self.fault_luck), ids::uuid(&mut self.fault_luck));
        let kind = EventType::TransactionCreated;
        let document = self.resources.event(&id, kind, webhook, Some(&transaction), now);
        let mut delivery = self.delivery(webhook, &id, &document)?;
        delivery.sender = Sender::Forger;
        match forgery {
            Forgery::WrongKey => {
                let key = ids::signing_key(&mut self.fault_luck);
                delivery.headers = sign(&key, &delivery.body, now)?;
            }
            Forgery::Unsigned => delivery.headers.clear(),
            Forgery::CutBody | Forgery::ChangedBody => {}
        }
        delivery.body = forgery.spoil(&delivery.body).into();
        self.outbox.push(now, delivery);
        Some(())
    }

    /// The next thing the courier does; deliveries to deleted webhooks are dropped here.
    pub fn next_delivery(&mut self) -> Next {
        loop {
            match self.outbox.next(self.clock.now()) {
                Next::Send(delivery) if self.webhooks.get(&delivery.webhook).is_none() => {
                    self.outbox.cancel(&delivery);
                }
                next => return next,
            }
        }
    }

    /// Takes the answer to a delivery: `None` when nobody answered.
    pub fn delivered(&mut self, delivery: Delivery, response: Option<Response>) {
        let now = self.now();
        let status = response.as_ref().map(|response| response.status);
        if delivery.sender == Sender::Bank {
            let body = Arc::clone(&delivery.body);
            self.webhooks.note(&delivery.webhook, &delivery.event, body, response, now);
        }
        self.outbox.finished(delivery, status, now);
    }
}

/// The signature header of a body, as the bank makes it; `None` for an empty key, which no webhook
/// has.
fn sign(secret: &Secret, body: &str, now: i64) -> Option<Vec<(String, String)>> {
    let key = signatures::Secret::new(secret.reveal()).ok()?;
    let headers = signatures::sign(&Scheme::up(), &key, body.as_bytes(), now);
    Some(headers.into_iter().map(|header| (header.name, header.value)).collect())
}

/// The world, shared between the server, the courier and the scenario.
#[derive(Debug)]
pub struct Shared {
    world: Mutex<World>,
    changed: Notify,
}

impl Shared {
    /// Shares `world`.
    pub fn new(world: World) -> Self {
        Self { world: Mutex::new(world), changed: Notify::new() }
    }

    /// Does something to the world and wakes the courier.
    pub fn with<T>(&self, operation: impl FnOnce(&mut World) -> T) -> T {
        let outcome = operation(&mut self.lock());
        self.changed.notify_one();
        outcome
    }

    /// The world, without waking anybody.
    pub fn lock(&self) -> MutexGuard<'_, World> {
        // A panic elsewhere leaves the books whole: every operation checks before it changes.
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something may have changed. For one waiter: the courier.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }
}
