//! An application: its threads, its health server, its end.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, mpsc::Receiver},
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use super::{
    GroupProtocol, StreamsArgs,
    application::{SchemaSource, Settings},
    check,
    engine::{Engine, Equipment, StateDirectory},
    group::{self, Membership},
    health::{self, State},
    inputs, internal_topics,
    launch::StartError,
    positions::Positions,
    producer::{self, Producer},
    queries::{self, Asked, Asking},
    telemetry,
    thread::{Ending, RECORDS_A_ROUND_MAX, Rejoins, StreamThread},
    unread::{self, Watched},
};
use crate::{
    admin::Admin,
    clock::{Clock, SystemClock},
    metrics::Metrics,
    native::{BatchReader, Forwarding},
    registry::{Registry, RegistrySchemas},
    task::{Environment, Halt, RetryPolicy},
    topology::Topology,
    topology_file::{Guarantee, TopologyFile},
    wire::Schemas,
};

/// How long Kafka's first answer may take before something is said.
const SILENCE_MAX: Duration = Duration::from_secs(3);

/// How often a topic that is missing is looked for, and how long between.
pub(super) const LOOKS_MAX: u32 = 10;
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(300);

/// How soon a thread that rests before another beginning notices that it is told to stop.
const REST_STEP: Duration = Duration::from_millis(100);

/// Runs a future on a runtime of its own; calls of asynchronous processors run there too.
pub(super) fn block_on<T>(
    future: impl Future<Output = Result<T, StartError>>,
) -> Result<T, StartError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(StartError::Runtime)?
        .block_on(future)
}

/// What the command line and the declaration say, after the program was compared with it.
pub(super) fn settings(args: StreamsArgs, topology: &Topology) -> Result<Settings, StartError> {
    let file = TopologyFile::load(&args.topology_file)?;
    let profile = file.profile(&args.profile)?.clone();
    check::against_file(topology, &file)?;
    let declared = file.apps().get(topology.application_id());
    Ok(Settings {
        bootstrap_servers: args.bootstrap_servers,
        instance: args.instance,
        run_id: args.run_id,
        state_dir: args.state_dir,
        guarantee: declared.and_then(|app| app.guarantee).unwrap_or(Guarantee::AtLeastOnce),
        commit_interval: Some(args.commit_interval.unwrap_or(profile.commit_interval)),
        transaction_timeout: producer::TRANSACTION_TIMEOUT,
        session_timeout: profile.session_timeout,
        drain_timeout: args.drain_timeout,
        http_listen: Some(args.http_listen),
        protocol: args.group_protocol,
        schemas: SchemaSource::Registry(args.schema_registry_url),
        internal_replication: None,
        calls_in_flight_max: args.calls_in_flight,
        retry: RetryPolicy::default(),
    })
}

/// Starts the application and runs it until a signal or a halt.
pub(super) async fn run(
    settings: Settings,
    topology: Topology,
    metrics: Metrics,
) -> Result<(), StartError> {
    settings.check().map_err(StartError::Configuration)?;
    let names = settings.names(&topology);
    telemetry::start_spans(topology.application_id())?;
    let admin = Admin::new(&settings.bootstrap_servers)?;
    let copies = settings.internal_replication;
    let checked = check_cluster(&admin, &topology, &names, copies);
    announced(&settings.bootstrap_servers, checked).await?;
    let sources = topology.subs.iter().flat_map(|sub| &sub.sources);
    let sources = sources.map(|source| names.read(&source.topic)).collect();
    let inputs = Arc::new(admin.topic_ids(sources).await?);
    let group_id = names.written(topology.application_id());
    let directory = match &settings.state_dir {
        Some(path) => Some(StateDirectory {
            path: path.clone(),
            cluster_id: admin.cluster_id().await?,
            application: group_id.clone(),
        }),
        None => None,
    };

    let stop = CancellationToken::new();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let state = Arc::new(State::default());
    state.beat(clock.now(), false);
    let (asking, asked) = queries::channel();
    let (asking, asked) = (Arc::new(asking), Arc::new(asked));
    let tracker = tokio_util::task::TaskTracker::new();
    if let Some(listen) = settings.http_listen {
        let server = health::Server {
            state: Arc::clone(&state),
            metrics: metrics.clone(),
            clock: Arc::clone(&clock),
            asking: Arc::clone(&asking),
        };
        let served = health::serve(listen, server, stop.clone());
        let (addr, served) =
            served.await.map_err(|source| StartError::Listen { listen, source })?;
        tracing::info!(%addr, "listening on {addr}");
        drop(tracker.spawn(served));
    }

    if settings.protocol == GroupProtocol::Classic {
        let watched = Watched::new(group_id, &settings.instance, inputs.keys());
        let watch = unread::watch(admin.clone(), watched, Arc::clone(&state), stop.clone());
        drop(tracker.spawn(watch));
    }
    drop(tracker.spawn(inputs::watch(admin, inputs, Arc::clone(&state), stop.clone())));

    let handle = tokio::runtime::Handle::current();
    let application_id = topology.application_id().to_owned();
    let topology = Arc::new(topology);
    let start = Start { settings, topology, directory, clock, handle, asking, asked };
    let thread_state = Arc::clone(&state);
    let threaded =
        tokio::task::spawn_blocking(move || start.run_threads(&thread_state, metrics, names));
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
    telemetry::stop_spans().await;
    ended.map_err(|error| StartError::Thread(error.to_string()))?
}

/// Says so when Kafka's first answer takes long: to find a wrong address takes longer still.
async fn announced<T>(servers: &str, first: impl Future<Output = T>) -> T {
    let mut first = std::pin::pin!(first);
    if let Ok(answer) = tokio::time::timeout(SILENCE_MAX, &mut first).await {
        return answer;
    }
    tracing::warn!(servers, "Kafka has not answered for 3 s; it is asked for up to 20 s");
    first.await
}

/// Makes internal topics, with so many copies, where that is asked for, and compares the program with the
/// cluster. Topics that were made a moment ago may not be on every
/// broker's list yet, so a missing one is looked for again before it counts.
async fn check_cluster(
    admin: &Admin,
    topology: &Topology,
    names: &crate::names::Names,
    copies: Option<i32>,
) -> Result<(), StartError> {
    if let Some(copies) = copies {
        internal_topics::create(admin, topology, names, copies).await?;
    }
    for _ in 0..LOOKS_MAX {
        match check::against_cluster(topology, names, &admin.topics().await?) {
            Err(check::CheckError::MissingTopic { .. }) => tokio::time::sleep(LOOK_EVERY).await,
            answer => return Ok(answer?),
        }
    }
    Ok(check::against_cluster(topology, names, &admin.topics().await?)?)
}

/// What threads are made from.
struct Start {
    settings: Settings,
    topology: Arc<Topology>,
    directory: Option<StateDirectory>,
    clock: Arc<dyn Clock>,
    handle: tokio::runtime::Handle,
    asking: Arc<Asking>,
    asked: Arc<Mutex<Receiver<Asked>>>,
}

impl Start {
    /// Waits before another thread begins, alive and not ready.
    fn rest(&self, rest: Duration, state: &State) {
        let rest = i64::try_from(rest.as_millis()).unwrap_or(i64::MAX);
        let until = self.clock.now().saturating_add(rest);
        while !state.is_stopping() && self.clock.now() < until {
            state.beat(self.clock.now(), false);
            #[expect(
                clippy::disallowed_methods,
                reason = "a stream thread, outside the async runtime"
            )]
            std::thread::sleep(REST_STEP);
        }
    }

    /// Runs a thread, and another one in its place where that is the right answer to its end.
    fn run_threads(
        &self,
        state: &Arc<State>,
        metrics: Metrics,
        names: crate::names::Names,
    ) -> Result<(), StartError> {
        let schemas: Arc<dyn Schemas> = match &self.settings.schemas {
            SchemaSource::Given(schemas) => Arc::clone(schemas),
            SchemaSource::Registry(url) => {
                Arc::new(RegistrySchemas::new(Registry::new(url)?, self.handle.clone()))
            }
        };
        let mut schema_ids = HashMap::new();
        for sink in self.topology.subs.iter().flat_map(|sub| &sub.sinks) {
            schema_ids.insert(sink.topic.clone(), schemas.pin(&sink.topic, sink.schema)?);
        }
        let environment = Environment {
            schemas,
            schema_ids,
            metrics,
            names,
            retry: self.settings.retry,
            commit_interval: self.settings.commit_interval(),
            guarantee: self.settings.guarantee,
            is_durable: self.directory.is_some(),
            seed: fastrand::u64(..),
        };
        let mut rejoins = Rejoins::default();
        loop {
            let Some(thread) = self.thread(environment.clone(), state)? else { return Ok(()) };
            let Err(ending) = thread.run() else { return Ok(()) };
            let rest = rejoins.allow(&ending, self.clock.now());
            let Some(rest) = rest.filter(|_| !state.is_stopping()) else {
                return Err(StartError::Halted(match ending {
                    Ending::Halt(halt) => halt,
                    Ending::Again(message) => {
                        let place = format!("{}/producer", self.topology.application_id());
                        Halt { place, position: None, message }
                    }
                }));
            };
            tracing::warn!(%ending, ?rest, "beginning again from what is committed");
            self.rest(rest, state);
        }
    }

    /// A thread ready to run; none when it is told to stop before that.
    fn thread(
        &self,
        environment: Environment,
        state: &Arc<State>,
    ) -> Result<Option<StreamThread>, StartError> {
        let Self { settings, topology, directory, clock, handle, asking, asked } = self;
        let group_id = environment.names.written(topology.application_id());
        let servers = &settings.bootstrap_servers;
        let client_id = format!("{group_id}-{}", settings.instance);
        let guarantees: Vec<_> =
            topology.subs.iter().map(|sub| sub.guarantee(settings.guarantee)).collect();
        let transactional = if guarantees.contains(&Guarantee::ExactlyOnce) {
            let timeout = settings.transaction_timeout;
            let producer = Producer::transactional(servers, &client_id, &client_id, timeout)?;
            match producer.init(|| state.is_stopping()) {
                Ok(()) => Some(producer),
                Err(_) if state.is_stopping() => return Ok(None),
                Err(error) => return Err(StartError::Transactions(error.to_string())),
            }
        } else {
            None
        };
        let plain = if guarantees.contains(&Guarantee::AtLeastOnce) {
            Some(Producer::idempotent(servers, &client_id)?)
        } else {
            None
        };
        let forwarding = Forwarding::default();
        asking.wake_by(forwarding.waker());
        let equipment = Equipment {
            plain,
            transactional,
            clock: Arc::clone(clock),
            handle: handle.clone(),
            waker: forwarding.waker(),
            drain_timeout: settings.drain_timeout,
            calls: Arc::new(tokio::sync::Semaphore::new(settings.calls_in_flight_max)),
            directory: directory.clone(),
        };
        let names = environment.names.clone();
        let engine = Engine::new(Arc::clone(topology), environment, equipment);
        let engine = Arc::new(Mutex::new(engine));
        let membership = Membership {
            servers,
            group_id: &group_id,
            instance: &settings.instance,
            session_timeout_ms: settings.session_timeout.as_millis(),
            protocol: settings.protocol,
            is_co_partitioned: topology.is_co_partitioned(),
        };
        let consumer = group::consumer(&membership, Arc::clone(&engine), forwarding.clone())?;
        let consumer = Arc::new(consumer);
        let reader = BatchReader::new(&consumer, &forwarding, RECORDS_A_ROUND_MAX);
        let sources = topology.subs.iter().flat_map(|sub| &sub.sources);
        let sources: Vec<String> = sources.map(|source| names.read(&source.topic)).collect();
        let subscribed: Vec<&str> = sources.iter().map(String::as_str).collect();
        rdkafka::consumer::Consumer::subscribe(&*consumer, &subscribed)?;
        let positions = Positions::new(servers, &client_id)?;
        Ok(Some(StreamThread::new(
            consumer,
            reader,
            engine,
            Arc::clone(state),
            positions,
            Arc::clone(asked),
            servers.clone(),
            group_id,
        )))
    }
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
