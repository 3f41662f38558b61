//! The process: opens the sources, listens, waits for Kafka, serves, stops.

mod keys;
mod retention;
mod start;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use streams::registry::{Registry, RegistrySchemas};
use streams::{Clock as _, SystemClock};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::body::BodyLimits;
use crate::budget::Budget;
use crate::capture::{self, Capture};
use crate::config::{Config, SystemSecrets};
use crate::dedupe::Dedupe;
use crate::door::Door;
use crate::gate::Gate;
use crate::listen::{self, tls, tls::Tls};
use crate::metrics::Metrics;
use crate::publish::{KafkaPublisher, Publisher};
use crate::readiness::{self, Readiness};
use crate::receive::Ingress;
use crate::recent::Recent;
use crate::routes::routes;

/// How long a stop waits for the last snapshot of event ids: ten million take some two seconds on
/// a slow disk, and an orchestrator kills after thirty.
const LAST_SNAPSHOT_TIME: Duration = Duration::from_secs(10);

/// Runs until SIGTERM or SIGINT, or until it cannot go on.
pub fn main(config: &Config) -> anyhow::Result<()> {
    main_with(config, |_| ())
}

/// The same, with a memory of events that `prepare` has seen first.
pub fn main_with(config: &Config, prepare: impl FnOnce(&Dedupe)) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("starting the async runtime")?;
    let (ingress, captures) = ingress(config, runtime.handle())?;
    prepare(&ingress.dedupe);
    let outcome = runtime.block_on(serve(config, &Arc::new(ingress), captures));
    // What still blocks then is a question to a broker that does not answer.
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

/// Everything requests share, and who writes the rejected ones; refuses what is configured wrongly.
fn ingress(
    config: &Config,
    runtime: &tokio::runtime::Handle,
) -> anyhow::Result<(Ingress<KafkaPublisher>, Vec<capture::Writer>)> {
    let sources = config.sources()?;
    let metrics = Metrics::new().context("making the metrics")?;
    let window = sources.iter().map(|source| source.dedupe_window).max().unwrap_or_default();
    let window_ms = i64::try_from(window.as_millis()).unwrap_or(i64::MAX);
    let mut doors = Vec::with_capacity(sources.len());
    for source in sources {
        doors.push(Door::open(source, &SystemSecrets, &metrics)?);
    }
    let names = doors.iter().map(|door| door.source.name.as_str());
    let gate = Gate::new(&config.senders, names.clone(), metrics.gate.clone());
    config.capture.check()?;
    let topic = rejected_topic(config, runtime, &metrics)?;
    let (capture, captures) = Capture::new(&config.capture, names, topic, &metrics.capture);
    let ingress = Ingress {
        doors,
        gate,
        publisher: OnceLock::new(),
        dedupe: Dedupe::new(window_ms, config.dedupe_ids_max, metrics.dedupe.clone()),
        recent: Recent::new(config.events_token()?),
        capture,
        spans: config.traces.spans(runtime)?,
        readiness: Arc::new(Readiness::default()),
        metrics,
        clock: Box::new(SystemClock),
        body: BodyLimits { bytes: config.body_limit, time: config.body_timeout },
        bodies: Budget::new(config.bodies_limit),
        produce_deadline: config.produce_deadline,
    };
    Ok((ingress, captures))
}

/// The topic of rejected requests, if they are wanted there.
fn rejected_topic(
    config: &Config,
    runtime: &tokio::runtime::Handle,
    metrics: &Metrics,
) -> anyhow::Result<Option<capture::Topic>> {
    if !config.capture.topic {
        return Ok(None);
    }
    let registry = Registry::new(&config.schema_registry_url)?;
    let schemas = Arc::new(RegistrySchemas::new(registry, runtime.clone()));
    let (servers, limit) = (&config.bootstrap_servers, config.capture.limit);
    let topic = capture::Topic::new(servers, schemas, limit, metrics.capture.clone());
    topic.context("making a producer for rejected requests").map(Some)
}

async fn serve(
    config: &Config,
    ingress: &Arc<Ingress<KafkaPublisher>>,
    captures: Vec<capture::Writer>,
) -> anyhow::Result<()> {
    let listener = TcpListener::bind(config.listen).await.with_context(|| {
        format!("listening on {} (another address: --listen or INGRESS_LISTEN)", config.listen)
    })?;
    let addr = listener.local_addr().context("asking for the bound address")?;
    tracing::info!(%addr, "listening on {addr}");
    if config.senders.are_idle(addr) {
        tracing::warn!(
            "INGRESS_ADDRESS_RATE and INGRESS_REJECTED_RATE count nobody: {addr} is reached from this \
             machine only, which is not counted; name the proxy or tunnel before it, \
             INGRESS_TRUSTED_PROXIES=127.0.0.1,::1"
        );
    }
    for door in &ingress.doors {
        let keys: Vec<_> = door.verifier().key_ids().map(str::to_owned).collect();
        tracing::info!(source = door.source.name, path = door.source.path, ?keys, "open");
    }

    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let terms = terms(config, ingress, &tasks, &stop)?;
    for mut captures in captures {
        let stop = stop.clone();
        tasks.spawn_blocking(move || captures.run(&stop));
    }
    keys::start(ingress, &tasks, &stop)?;
    tasks.spawn(readiness::watch(Arc::clone(ingress), stop.clone()));
    let connected = tasks.spawn_blocking({
        let (config, ingress, stop) = (config.clone(), Arc::clone(ingress), stop.clone());
        let (runtime, now) = (tokio::runtime::Handle::current(), SystemClock.now());
        move || start::connect(&config, &ingress, &runtime, now, &stop)
    });
    let server = tasks.spawn(listen::serve(
        listener,
        {
            let ingress = Arc::clone(ingress);
            move |peer| routes(Arc::clone(&ingress), peer)
        },
        terms,
        stop.clone(),
    ));

    // The reader of the raw topic ends only when it must not go on, or when it is told to.
    let outcome = tokio::select! {
        signal = stop_signal() => signal,
        ended = connected => match ended {
            Ok(ended) => ended,
            Err(error) => Err(error).context("reading the raw topic"),
        },
    };
    stop.cancel();
    drain(config, ingress, server).await;
    // The reader may still be writing what it remembers; one that waits for Kafka has nothing to write.
    tasks.close();
    let is_written = || tokio::time::timeout(LAST_SNAPSHOT_TIME, tasks.wait());
    if ingress.readiness.missing().is_none() && is_written().await.is_err() {
        tracing::warn!("the last snapshot of event ids took too long and is not written");
    }
    outcome
}

/// The terms on which connections are taken; the certificate, if there is one, is watched.
fn terms(
    config: &Config,
    ingress: &Ingress<KafkaPublisher>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> anyhow::Result<listen::Terms> {
    let tls = Tls::open(&config.tls, SystemClock.now(), ingress.metrics.tls.clone())
        .context("opening the TLS certificate")?;
    if let Some(tls) = &tls {
        tasks.spawn(Arc::clone(tls).watch(SystemClock, tls::WATCH_PERIOD, stop.clone()));
    }
    Ok(listen::Terms {
        limits: config.connections.clone(),
        proxies: config.senders.trusted_proxies.clone(),
        tls,
        metrics: ingress.metrics.connections.clone(),
    })
}

/// Finishes what was begun: requests first, then their records.
async fn drain(
    config: &Config,
    ingress: &Arc<Ingress<KafkaPublisher>>,
    server: tokio::task::JoinHandle<()>,
) {
    tracing::info!("stopping: finishing requests in flight");
    if tokio::time::timeout(config.drain, server).await.is_err() {
        tracing::warn!("requests were still in flight after the drain time");
    }
    let (ingress, deadline) = (Arc::clone(ingress), config.produce_deadline);
    let flushed = tokio::task::spawn_blocking(move || {
        if let Some(publisher) = ingress.publisher.get() {
            publisher.flush(deadline);
        }
        ingress.spans.shut_down();
    });
    if flushed.await.is_err() {
        tracing::error!("the producer could not be flushed");
    }
    tracing::info!("stopped");
}

async fn stop_signal() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM"),
        _ = interrupt.recv() => tracing::info!("SIGINT"),
    }
    Ok(())
}
