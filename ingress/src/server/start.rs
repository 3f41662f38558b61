//! Connects to the registry and to Kafka, in the background, for as long as it takes.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use apache_avro::AvroSchema as _;
use schemas::WebhookReceived;
use schemas::topics::WEBHOOKS_RECEIVED;
use streams::SystemClock;
use streams::registry::{Registry, RegistrySchemas};
use streams::wire::{SchemaError, Schemas};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::retention;
use crate::config::Config;
use crate::deadline::Deadlines;
use crate::publish::{KafkaPublisher, Settings};
use crate::receive::Ingress;
use crate::tail::{self, Keeper, Tail};

/// Pause between two questions to a registry that is not there yet.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Pins the raw schema, makes the publisher, then reads the raw topic until `stop`. Blocks.
///
/// What is away is waited for, `/readyz` names it and webhooks get 503; what is there and wrong (no
/// such schema, no such topic) ends the process with the command that mends it.
pub(super) fn connect(
    config: &Config,
    ingress: &Ingress<KafkaPublisher>,
    runtime: &Handle,
    now: i64,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let registry = Registry::new(&config.schema_registry_url)?;
    let schemas: Arc<dyn Schemas> = Arc::new(RegistrySchemas::new(registry, runtime.clone()));
    let Some(schema_id) = pin(schemas.as_ref(), ingress, runtime, stop)? else { return Ok(()) };
    let settings = Settings {
        bootstrap_servers: config.bootstrap_servers.clone(),
        schema_id,
        deadline: produce_deadline(config, ingress),
        message_bytes_max: config.max_message_bytes(),
    };
    let readiness = Arc::clone(&ingress.readiness);
    let publisher = KafkaPublisher::new(settings, ingress.metrics.clone(), readiness)?;
    if ingress.publisher.set(publisher).is_err() {
        anyhow::bail!("the publisher was made twice");
    }
    ingress.readiness.waiting_for(format!("Kafka at {}", config.bootstrap_servers));
    retention::check(&config.bootstrap_servers, ingress, runtime, stop)?;
    let tail = Tail::new(
        &config.bootstrap_servers,
        schemas,
        Arc::clone(&ingress.dedupe),
        ingress.metrics.dedupe.clone(),
        Arc::clone(&ingress.readiness),
    )?
    .with_snapshots(keeper(config, ingress));
    let window = ingress.doors.iter().map(|door| door.source.dedupe_window).max();
    let window_ms = i64::try_from(window.unwrap_or_default().as_millis()).unwrap_or(i64::MAX);
    tail.run(now.saturating_sub(window_ms), stop).context("reading the raw topic")
}

/// When the producer gives up a record: what the least patient of the providers leaves it.
fn produce_deadline(config: &Config, ingress: &Ingress<KafkaPublisher>) -> Duration {
    let of = |ack| Deadlines::of(ack, config.body_timeout, config.produce_deadline).produce;
    let all = ingress.doors.iter().map(|door| of(door.source.ack_deadline));
    all.min().unwrap_or(config.produce_deadline)
}

/// What keeps event ids in a file, if that is wanted.
fn keeper(config: &Config, ingress: &Ingress<KafkaPublisher>) -> Option<Keeper> {
    let (file, every) = config.snapshots.wanted()?;
    let metrics = ingress.metrics.dedupe.snapshots.clone();
    let settings = tail::Settings { file: file.to_path_buf(), every };
    Some(Keeper::new(settings, Arc::new(SystemClock), metrics))
}

/// The raw schema's id; `None` when stopped before the registry answered.
fn pin(
    schemas: &dyn Schemas,
    ingress: &Ingress<KafkaPublisher>,
    runtime: &Handle,
    stop: &CancellationToken,
) -> anyhow::Result<Option<u32>> {
    let mut warned = false;
    loop {
        match schemas.pin(WEBHOOKS_RECEIVED, &WebhookReceived::get_schema()) {
            Ok(id) => return Ok(Some(id)),
            Err(SchemaError::Unavailable { message }) => {
                if !warned {
                    tracing::warn!("waiting for the schema registry: {message}");
                    warned = true;
                }
                ingress.readiness.waiting_for(format!("the schema registry: {message}"));
            }
            Err(error) => return Err(error).context("looking up the raw topic's schema"),
        }
        let stopped = runtime.block_on(tokio::time::timeout(RETRY_PAUSE, stop.cancelled()));
        if stopped.is_ok() {
            return Ok(None);
        }
    }
}
