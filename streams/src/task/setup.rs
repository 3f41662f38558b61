//! How a task is made from its sub-topology.

use std::{collections::HashMap, sync::Arc, time::Duration};

use super::{
    BUFFERED_RECORDS_MAX, Commit, Input, Lanes, NodeState, OffsetTracker, RetryPolicy, Sends,
    Serial, Store, Task,
};
use crate::{
    context::{SinkState, Writes},
    metrics::Metrics,
    names::Names,
    record::Timestamp,
    store::State,
    topology::{NodeSpec, Order, SourceSpec, StoreKind, SubTopology, Topology},
    topology_file::Guarantee,
    wire::{EncodeError, Encoder, Schemas},
};

/// What every task of an application shares.
#[derive(Clone)]
pub(crate) struct Environment {
    pub(crate) schemas: Arc<dyn Schemas>,
    /// Pinned schema id of every sink's topic, run suffix not included.
    pub(crate) schema_ids: HashMap<String, u32>,
    pub(crate) metrics: Metrics,
    pub(crate) names: Names,
    pub(crate) retry: RetryPolicy,
    pub(crate) commit_interval: Duration,
    /// What the application asks for; a sub-topology may get less.
    pub(crate) guarantee: Guarantee,
    /// Whether what is committed is kept on disk.
    pub(crate) is_durable: bool,
    pub(crate) seed: u64,
}

#[cfg(test)]
impl Environment {
    /// What most tests of tasks need: no schema, nothing durable, commits of 100 ms in transactions.
    pub(crate) fn for_tests(application_id: &str) -> Self {
        Self {
            schemas: Arc::new(crate::wire::FixedSchemas::new()),
            schema_ids: HashMap::new(),
            metrics: Metrics::new(application_id).unwrap(),
            names: Names::default(),
            retry: RetryPolicy::default(),
            commit_interval: Duration::from_millis(100),
            guarantee: Guarantee::ExactlyOnce,
            is_durable: false,
            seed: 1,
        }
    }
}

#[derive(Clone)]
pub(crate) struct TaskSettings {
    pub(crate) application_id: String,
    pub(crate) dead_letter_topic: Arc<str>,
    pub(crate) run_id: Option<String>,
    pub(crate) retry: RetryPolicy,
    pub(crate) metrics: Metrics,
    pub(crate) guarantee: Guarantee,
    pub(crate) is_durable: bool,
}

impl Task {
    /// A task of sub-topology `sub` for `partition`; nothing is restored yet.
    pub(crate) fn new(
        topology: &Topology,
        sub: usize,
        partition: i32,
        environment: &Environment,
        now: Timestamp,
    ) -> Result<Self, EncodeError> {
        let Environment { schema_ids, metrics, names, .. } = environment;
        let spec = &topology.subs[sub];
        let mut sinks = Vec::new();
        for sink in &spec.sinks {
            let id = schema_ids.get(&sink.topic).copied().unwrap_or_default();
            let encoder = Encoder::new(id, sink.schema)?;
            sinks.push(SinkState { topic: names.written(&sink.topic).into(), encoder });
        }
        let inputs = spec.sources.iter().map(|source| input(spec, source, names));
        let nodes = spec.nodes.iter().map(|spec| node(spec, environment, now));
        let stores = spec.stores.iter().map(|store| Store {
            topic: names.written(&store.topic(&topology.application_id)).into(),
            kind: store.kind,
            is_ledger: store.kind == StoreKind::Ledger,
        });
        let state = spec.stores.iter().map(|store| State::new(store.kind));
        Ok(Self {
            sub,
            partition,
            settings: TaskSettings {
                application_id: topology.application_id.clone(),
                dead_letter_topic: names.written(&topology.dead_letter_topic()).into(),
                run_id: names.run_id().map(str::to_owned),
                retry: environment.retry,
                metrics: metrics.clone(),
                guarantee: spec.guarantee(environment.guarantee),
                is_durable: environment.is_durable && !spec.stores.is_empty(),
            },
            inputs: inputs.collect(),
            nodes: nodes.collect(),
            stores: stores.collect(),
            state: state.collect(),
            sinks,
            entries: HashMap::new(),
            next_entry: 0,
            lanes: Lanes::default(),
            recording: Vec::new(),
            resting: std::collections::BinaryHeap::new(),
            sends: Sends::default(),
            changes: std::collections::VecDeque::new(),
            commit: Commit::new(millis(environment.commit_interval), now),
            stream_time: 0,
            committed_stream_time: 0,
            handled: Vec::new(),
            refused: HashMap::new(),
            is_abort_wanted: false,
            is_held: false,
            held_answers: Vec::new(),
            spare_writes: Writes::default(),
            last_now: now,
            is_draining: false,
            is_halted: false,
            rng: fastrand::Rng::with_seed(environment.seed ^ u64::from(partition.unsigned_abs())),
            commands: Vec::new(),
        })
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn input(spec: &SubTopology, source: &SourceSpec, names: &Names) -> Input {
    let node = source.node.unwrap_or_default();
    let calls = spec.nodes.get(node).map_or(0, |node| node.options.in_flight_max);
    Input {
        topic: names.read(&source.topic).into(),
        node,
        order: spec.nodes.get(node).map_or(Order::Partition, |node| node.order),
        offsets: OffsetTracker::default(),
        committed: None,
        is_touched: false,
        buffered: 0,
        buffered_max: BUFFERED_RECORDS_MAX.max(calls.saturating_mul(4)),
        is_paused: false,
        blocked: None,
        serial: Serial::default(),
        ready: std::collections::BTreeSet::new(),
    }
}

fn node(spec: &NodeSpec, environment: &Environment, now: Timestamp) -> NodeState {
    let Environment { schemas, metrics, .. } = environment;
    let every = spec.punctuate_every.map(millis);
    // Their first event is a step from zero then, and not a number out of nowhere.
    for counter in [&metrics.dead_letters_total, &metrics.retries_total] {
        drop(counter.with_label_values(&[&spec.name]));
    }
    NodeState {
        name: spec.name.clone(),
        node: (spec.supplier)(Arc::clone(schemas)),
        connections: spec.connections.clone(),
        in_flight_max: spec.options.in_flight_max,
        in_flight: 0,
        max_block_ms: millis(spec.options.max_block),
        punctuate_every_ms: every,
        punctuate_at: now.saturating_add(every.unwrap_or_default()),
        stream_every_ms: spec.punctuate_on_stream_time.map(millis),
        stream_at: None,
        processed: metrics.process_total.with_label_values(&[&spec.name]),
    }
}
