//! An application: its threads, its health server, its end.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use tokio_util::sync::CancellationToken;

use super::{
    StreamsArgs, check,
    engine::Engine,
    group::{self, Membership},
    health::{self, State},
    launch::StartError,
    producer::Producer,
    thread::{Rejoins, StreamThread},
};
use crate::{
    admin::Admin,
    clock::{Clock, SystemClock},
    metrics::Metrics,
    names::Names,
    registry::{Registry, RegistrySchemas},
    task::{Environment, RetryPolicy},
    topology::Topology,
    topology_file::TopologyFile,
    wire::Schemas as _,
};

/// Starts the application and runs it until a signal or a halt.
pub(super) async fn run(
    args: StreamsArgs,
    topology: Topology,
    metrics: Metrics,
) -> Result<(), StartError> {
    let file = TopologyFile::load(&args.topology_file)?;
    let profile = file.profile(&args.profile)?.clone();
    check::against_file(&topology, &file)?;
    let sinks = topology.subs.iter().flat_map(|sub| &sub.sinks);
    let written = sinks.map(|sink| sink.topic.clone()).collect();
    let names = Names::new(args.run_id.clone(), written);
    let topics = Admin::new(&args.bootstrap_servers)?.topics().await?;
    check::against_cluster(&topology, &names, &topics)?;

    let stop = CancellationToken::new();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let state = Arc::new(State::default());
    state.beat(clock.now(), false);
    let (addr, served) = health::serve(
        args.http_listen,
        Arc::clone(&state),
        metrics.clone(),
        Arc::clone(&clock),
        stop.clone(),
    )
    .await
    .map_err(|source| StartError::Listen { listen: args.http_listen, source })?;
    tracing::info!(%addr, "listening on {addr}");
    let tracker = tokio_util::task::TaskTracker::new();
    drop(tracker.spawn(served));

    let handle = tokio::runtime::Handle::current();
    let schemas = RegistrySchemas::new(Registry::new(&args.schema_registry_url)?, handle.clone());
    let thread_state = Arc::clone(&state);
    let application_id = topology.application_id().to_owned();
    let threaded = tokio::task::spawn_blocking(move || {
        let mut schema_ids = HashMap::new();
        for sink in topology.subs.iter().flat_map(|sub| &sub.sinks) {
            schema_ids.insert(sink.topic.clone(), schemas.pin(&sink.topic, sink.schema)?);
        }
        let environment = Environment {
            schemas: Arc::new(schemas),
            schema_ids,
            metrics,
            names,
            retry: RetryPolicy::default(),
            commit_interval: args.commit_interval.unwrap_or(profile.commit_interval),
            seed: fastrand::u64(..),
        };
        let session_timeout_ms = profile.session_timeout.as_millis();
        let topology = Arc::new(topology);
        let make = || {
            let (environment, clock) = (environment.clone(), Arc::clone(&clock));
            let (state, handle) = (Arc::clone(&thread_state), handle.clone());
            thread(&args, &topology, environment, session_timeout_ms, state, clock, handle)
        };
        run_threads(&thread_state, clock.as_ref(), make)
    });
    tokio::pin!(threaded);
    let ended = tokio::select! {
        ended = &mut threaded => ended,
        () = shutdown_signal() => {
            tracing::info!(application_id, "stopping: finishing work under way");
            state.stop();
            threaded.await
        }
    };
    stop.cancel();
    tracker.close();
    tracker.wait().await;
    ended.map_err(|error| StartError::Thread(error.to_string()))?
}

/// Runs a thread, and another one in its place where that is the right answer to its halt.
fn run_threads(
    state: &State,
    clock: &dyn Clock,
    make: impl Fn() -> Result<StreamThread, StartError>,
) -> Result<(), StartError> {
    let mut rejoins = Rejoins::default();
    loop {
        let Err(halt) = make()?.run() else { return Ok(()) };
        if state.is_stopping() || !rejoins.allow(&halt, clock.now()) {
            return Err(StartError::Halted(halt));
        }
        tracing::warn!("fenced under its own name; joining the group again");
    }
}

fn thread(
    args: &StreamsArgs,
    topology: &Arc<Topology>,
    environment: Environment,
    session_timeout_ms: u128,
    state: Arc<State>,
    clock: Arc<dyn Clock>,
    handle: tokio::runtime::Handle,
) -> Result<StreamThread, StartError> {
    let group_id = environment.names.written(topology.application_id());
    let client_id = format!("{group_id}-{}", args.instance);
    let names = environment.names.clone();
    let producer = Producer::new(&args.bootstrap_servers, &client_id)?;
    let engine =
        Engine::new(Arc::clone(topology), environment, producer, clock, handle, args.drain_timeout);
    let engine = Arc::new(Mutex::new(engine));
    let membership = Membership {
        servers: &args.bootstrap_servers,
        group_id: &group_id,
        instance: &args.instance,
        session_timeout_ms,
        is_co_partitioned: topology.is_co_partitioned(),
    };
    let consumer = group::consumer(&membership, Arc::clone(&engine))?;
    let sources = topology.subs.iter().flat_map(|sub| &sub.sources);
    let sources: Vec<String> = sources.map(|source| names.read(&source.topic)).collect();
    let subscribed: Vec<&str> = sources.iter().map(String::as_str).collect();
    rdkafka::consumer::Consumer::subscribe(&consumer, &subscribed)?;
    Ok(StreamThread::new(consumer, engine, state, args.bootstrap_servers.clone(), group_id))
}

/// Resolves on SIGTERM or SIGINT.
async fn shutdown_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminated) => {
            tokio::select! {
                _ = terminated.recv() => {}
                result = tokio::signal::ctrl_c() => {
                    if let Err(error) = result {
                        tracing::warn!(%error, "cannot listen for Ctrl-C");
                    }
                }
            }
        }
        Err(error) => {
            tracing::warn!(%error, "cannot listen for SIGTERM");
            std::future::pending::<()>().await;
        }
    }
}
