//! Reads the pipeline's topics beside the processors and counts what passes.
use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use apache_avro::AvroSchema;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};
use schemas::{
    BalanceReconciled, CoinTrigger, PostPublished, PostRequested, TransactionEnriched,
    WebhookReceived, topics,
};
use serde::de::DeserializeOwned;
use streams::admin::Admin;
use streams::registry::{Registry, RegistrySchemas};
use streams::wire::{DecodeError, Decoder, Schemas, keep};

/// How long one look for a record takes at most; bounds how late a stop is noticed.
const POLL_TIMEOUT: Duration = Duration::from_millis(200);
/// Ends the name of every topic of dead letters.
const DEAD_LETTERS_SUFFIX: &str = "-dlq";

/// An account's books beside the bank's balance, as last reconciled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balance {
    /// What the bank stated, base units.
    pub bank: i64,
    /// What the books say, base units.
    pub ledger: i64,
    /// The bank's less the books'.
    pub difference: i64,
    /// The part of the difference without a known reason.
    pub unexplained: i64,
    /// balanced, timing or unexplained.
    pub status: String,
}

/// What passed since the watch began.
#[derive(Debug, Clone, Default)]
pub struct Totals {
    /// Ids of the events on the raw topic.
    pub events: HashSet<String>,
    /// Records of the raw topic; more than `events` when an event is there twice.
    pub raw: u64,
    /// Changes of transactions.
    pub enriched: u64,
    /// Outputs of decisions by what they are about; each belongs there once.
    pub decided: BTreeMap<String, u64>,
    /// The latest comparison of each account.
    pub balances: BTreeMap<String, Balance>,
    /// Triggers fired, by id: a repeated record is the same trigger.
    pub fired: HashSet<String>,
    /// Triggers taken back.
    pub reversed: HashSet<String>,
    /// Coins dropped, less those taken back.
    pub coins: i64,
    /// Posts asked for.
    pub requested: HashSet<String>,
    /// Outcome of each post.
    pub published: BTreeMap<String, String>,
    /// Records that a processor gave up, all apps together.
    pub dead_letters: u64,
    /// Records that are not what their topic holds.
    pub unreadable: u64,
}

/// A reader of all topics on a thread of its own. It stops when dropped.
#[derive(Debug)]
pub struct Watch {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    totals: Mutex<Totals>,
    failure: Mutex<Option<anyhow::Error>>,
    stop: AtomicBool,
}

impl Watch {
    /// Begins at the present end of every topic.
    pub async fn start(bootstrap_servers: &str, registry_url: &str) -> anyhow::Result<Self> {
        let ends = ends(bootstrap_servers).await.context("reading the ends of the topics")?;
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap_servers)
            // No group is joined and nothing is committed; the client wants a name for it anyway.
            .set("group.id", "bankstream-watch")
            .set("enable.auto.commit", "false")
            // What an aborted transaction left behind did not happen.
            .set("isolation.level", "read_committed")
            .create()
            .context("creating a consumer")?;
        consumer.assign(&ends).context("choosing the topics to watch")?;
        let runtime = tokio::runtime::Handle::current();
        let schemas: Arc<dyn Schemas> =
            Arc::new(RegistrySchemas::new(Registry::new(registry_url)?, runtime));
        let shared = Arc::new(Shared::default());
        let reader = Reader { decoders: Decoders::new(&schemas), shared: Arc::clone(&shared) };
        tokio::task::spawn_blocking(move || reader.run(&consumer));
        Ok(Self { shared })
    }

    /// What passed so far.
    pub fn totals(&self) -> Totals {
        lock(&self.shared.totals).clone()
    }

    /// Fails once when reading failed.
    pub fn check(&self) -> anyhow::Result<()> {
        lock(&self.shared.failure).take().map_or(Ok(()), Err)
    }

    /// Asks the reader to end.
    pub fn stop(&self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const WATCHED: [&str; 6] = [
    topics::WEBHOOKS_RECEIVED,
    topics::TRANSACTIONS_ENRICHED,
    topics::BALANCES_RECONCILED,
    topics::TRIGGERS_FIRED,
    topics::POSTS_REQUESTED,
    topics::POSTS_PUBLISHED,
];

async fn ends(bootstrap_servers: &str) -> anyhow::Result<TopicPartitionList> {
    let admin = Admin::new(bootstrap_servers)?;
    let mut ends = TopicPartitionList::new();
    for (name, topic) in admin.topics().await? {
        if !WATCHED.contains(&name.as_str()) && !name.ends_with(DEAD_LETTERS_SUFFIX) {
            continue;
        }
        for (partition, watermarks) in admin.watermarks(&name, topic.partitions).await? {
            ends.add_partition_offset(&name, partition, Offset::Offset(watermarks.high))?;
        }
    }
    Ok(ends)
}

struct Reader {
    decoders: Decoders,
    shared: Arc<Shared>,
}

impl Reader {
    fn run(mut self, consumer: &BaseConsumer) {
        while !self.shared.stop.load(Ordering::Relaxed) {
            let Some(polled) = consumer.poll(POLL_TIMEOUT) else { continue };
            // A broker that restarts is waited for; its own check tells when it is gone for good.
            let Ok(message) = polled else { continue };
            let Some(payload) = message.payload() else { continue };
            match self.count(message.topic(), payload) {
                Ok(()) => {}
                Err(error @ DecodeError::Unavailable { .. }) => {
                    // Going on would count wrongly without telling.
                    let place = format!("reading {} at {}", message.topic(), message.offset());
                    *lock(&self.shared.failure) = Some(anyhow::Error::new(error).context(place));
                    return;
                }
                Err(_) => lock(&self.shared.totals).unreadable += 1,
            }
        }
    }

    fn count(&mut self, topic: &str, payload: &[u8]) -> Result<(), DecodeError> {
        let decoders = &mut self.decoders;
        // Decoded before the lock is taken: the first of each schema asks the registry.
        let apply: Box<dyn FnOnce(&mut Totals)> = match topic {
            topics::WEBHOOKS_RECEIVED => {
                let webhook: WebhookReceived = decoders.raw.decode(payload)?;
                Box::new(move |totals| totals.webhook(webhook))
            }
            topics::TRANSACTIONS_ENRICHED => {
                let enriched: TransactionEnriched = decoders.enriched.decode(payload)?;
                Box::new(move |totals| totals.enriched(&enriched))
            }
            topics::BALANCES_RECONCILED => {
                let balance: BalanceReconciled = decoders.balances.decode(payload)?;
                Box::new(move |totals| totals.balance(balance))
            }
            topics::TRIGGERS_FIRED => {
                let trigger: CoinTrigger = decoders.triggers.decode(payload)?;
                Box::new(move |totals| totals.trigger(trigger))
            }
            topics::POSTS_REQUESTED => {
                let post: PostRequested = decoders.requested.decode(payload)?;
                Box::new(move |totals| totals.requested(post.post_id))
            }
            topics::POSTS_PUBLISHED => {
                let post: PostPublished = decoders.published.decode(payload)?;
                Box::new(move |totals| drop(totals.published.insert(post.post_id, post.outcome)))
            }
            _ => Box::new(|totals| totals.dead_letters += 1),
        };
        apply(&mut lock(&self.shared.totals));
        Ok(())
    }
}

impl Totals {
    fn webhook(&mut self, webhook: WebhookReceived) {
        self.raw += 1;
        self.events.insert(webhook.event_id);
    }

    /// One event changes one transaction; a deletion that nobody can place is told to each account.
    fn enriched(&mut self, record: &TransactionEnriched) {
        self.enriched += 1;
        let account = record.account_id.as_deref().unwrap_or("none");
        self.decided(format!("event {} for account {account}", record.event_id));
    }

    fn requested(&mut self, post_id: String) {
        self.decided(format!("post {post_id}"));
        self.requested.insert(post_id);
    }

    fn decided(&mut self, what: String) {
        *self.decided.entry(what).or_default() += 1;
    }

    /// Outputs of decisions that are there more than once.
    pub fn repeated(&self) -> Vec<&str> {
        let repeated = self.decided.iter().filter(|(_, times)| **times > 1);
        repeated.map(|(what, _)| what.as_str()).collect()
    }

    fn balance(&mut self, record: BalanceReconciled) {
        let balance = Balance {
            bank: record.bank_balance,
            ledger: record.ledger_balance,
            difference: record.difference,
            unexplained: record.unexplained,
            status: record.status,
        };
        self.balances.insert(record.account_id, balance);
    }

    fn trigger(&mut self, trigger: CoinTrigger) {
        match trigger {
            CoinTrigger::CoinTriggerFired(fired) => {
                self.decided(format!("trigger {} fired", fired.trigger_id));
                if self.fired.insert(fired.trigger_id) {
                    self.coins = self.coins.saturating_add(fired.coins);
                }
            }
            CoinTrigger::CoinTriggerReversed(reversed) => {
                self.decided(format!("trigger {} reversed", reversed.trigger_id));
                if self.reversed.insert(reversed.trigger_id) {
                    self.coins = self.coins.saturating_sub(reversed.coins);
                }
            }
        }
    }
}

struct Decoders {
    raw: Decoder,
    enriched: Decoder,
    balances: Decoder,
    triggers: Decoder,
    requested: Decoder,
    published: Decoder,
}

impl Decoders {
    fn new(schemas: &Arc<dyn Schemas>) -> Self {
        fn of<T: AvroSchema + DeserializeOwned>(schemas: &Arc<dyn Schemas>) -> Decoder {
            Decoder::new(Arc::clone(schemas), keep(T::get_schema()))
        }
        Self {
            raw: of::<WebhookReceived>(schemas),
            enriched: of::<TransactionEnriched>(schemas),
            balances: of::<BalanceReconciled>(schemas),
            triggers: of::<CoinTrigger>(schemas),
            requested: of::<PostRequested>(schemas),
            published: of::<PostPublished>(schemas),
        }
    }
}
