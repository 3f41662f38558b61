//! The graph of an application: sub-topologies of sources, processors, stores and sinks.
//!
//! Every name is explicit, nothing is created behind the user's back, and [`Topology::describe`]
//! prints the graph without a broker.

mod builder;
mod describe;
mod handle;
mod names;

use std::time::Duration;

use apache_avro::Schema;

use crate::{
    context::Connections, node::Node, processor::AsyncOptions, topology_file::Guarantee,
    wire::Schemas,
};

pub use builder::{Builder, NodeBuilder, SubTopologyBuilder};
pub use handle::{DedupeStore, Sink, SinkId, Source, Store, StoreId};
pub(crate) use names::is_name;

/// What a sub-topology may do to the world outside Kafka.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effects {
    /// Nothing: it decides from its records alone and can be replayed any number of times.
    None,
    /// It asks others (GET); replays use the answers that were recorded.
    Read,
    /// It changes something somewhere.
    Write,
    /// It speaks in public.
    Publish,
}

impl Effects {
    /// The word used in `topology.toml`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Read => "read",
            Self::Write => "write",
            Self::Publish => "publish",
        }
    }
}

/// What is wrong with a topology.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// A name is used twice.
    #[error("{kind} `{name}` is declared twice in sub-topology `{sub}`")]
    Duplicate {
        /// source, sink, store or processor.
        kind: &'static str,
        /// The name.
        name: String,
        /// Its sub-topology.
        sub: String,
    },
    /// Two sub-topologies have one name.
    #[error("sub-topology `{name}` is declared twice")]
    SubTopologyTwice {
        /// The name.
        name: String,
    },
    /// Two sub-topologies have a store of one name.
    #[error(
        "store `{name}` is declared in sub-topologies `{first}` and `{second}`: both would keep their \
         state in one changelog and restore the other's; give one of them another name"
    )]
    StoreTwice {
        /// The name.
        name: String,
        /// A sub-topology that has it.
        first: String,
        /// The other one.
        second: String,
    },
    /// A name cannot be part of a topic's name.
    #[error(
        "{kind} `{name}`: expected 1 to 100 letters, digits, `.`, `_` and `-`, of which names of topics \
         are made"
    )]
    Name {
        /// application or store.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// A time that must be longer than nothing.
    #[error("{what} of `{name}` is zero; expected at least a millisecond")]
    Zero {
        /// What it is the time of.
        what: &'static str,
        /// The store or the processor.
        name: String,
    },
    /// A source is read by no processor.
    #[error("source `{source_name}` of sub-topology `{sub}` has no processor")]
    Idle {
        /// The source.
        source_name: String,
        /// Its sub-topology.
        sub: String,
    },
    /// A source is read by two processors.
    #[error(
        "source `{source_name}` of sub-topology `{sub}` has two processors; one group reads a topic once, so \
         do both in one processor, or make the second another application"
    )]
    Shared {
        /// The source.
        source_name: String,
        /// Its sub-topology.
        sub: String,
    },
    /// A topic is read twice within an application.
    #[error(
        "topic `{topic}` is read by two sub-topologies of `{application_id}`; one group reads a topic once, \
         so make it two applications"
    )]
    ReadTwice {
        /// The topic.
        topic: String,
        /// The application.
        application_id: String,
    },
    /// A handle belongs to another sub-topology.
    #[error(
        "`{name}` of sub-topology `{sub}` is connected to a {kind} of another one; they share a topic or nothing"
    )]
    Foreign {
        /// The processor.
        name: String,
        /// Its sub-topology.
        sub: String,
        /// source, sink or store.
        kind: &'static str,
    },
    /// A node does more than its sub-topology declares.
    #[error("sub-topology `{sub}` declares effects `{declared}`; `{name}` needs `{needed}`")]
    Effects {
        /// The sub-topology.
        sub: String,
        /// What it declares.
        declared: &'static str,
        /// The node, or `http_client`.
        name: String,
        /// What is needed.
        needed: &'static str,
    },
    /// The HTTP client cannot be made.
    #[error("cannot make an HTTP client: {reason}")]
    HttpClient {
        /// Why.
        reason: String,
    },
    /// There is nothing to run.
    #[error("application `{application_id}` has no source")]
    Empty {
        /// The application.
        application_id: String,
    },
}

pub(crate) struct SourceSpec {
    pub(crate) name: String,
    pub(crate) topic: String,
    pub(crate) schema: &'static Schema,
    pub(crate) node: Option<usize>,
}

pub(crate) struct SinkSpec {
    pub(crate) name: String,
    pub(crate) topic: String,
    pub(crate) schema: &'static Schema,
}

/// How a store's changes reach its changelog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreKind {
    /// Behind the outputs, in front of the offset; a restore leaves out what was not committed.
    State,
    /// At once, and a call waits for it; a restore takes all of it.
    Ledger,
    /// Ids in time buckets, many to a changelog record; forgotten after the window.
    Seen {
        /// How long an id is remembered.
        window: Duration,
    },
}

pub(crate) struct StoreSpec {
    pub(crate) name: String,
    pub(crate) kind: StoreKind,
}

impl StoreSpec {
    /// Topic of the store: `<app>-<store>-changelog`, or `<app>-<ledger>`.
    pub(crate) fn topic(&self, application_id: &str) -> String {
        match self.kind {
            StoreKind::State | StoreKind::Seen { .. } => {
                format!("{application_id}-{}-changelog", self.name)
            }
            StoreKind::Ledger => format!("{application_id}-{}", self.name),
        }
    }
}

pub(crate) type Supplier = Box<dyn Fn(std::sync::Arc<dyn Schemas>) -> Box<dyn Node> + Send + Sync>;

/// How records of a node wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// In the order of the partition.
    Partition,
    /// In the order of each key.
    Key,
}

pub(crate) struct NodeSpec {
    pub(crate) name: String,
    pub(crate) order: Order,
    pub(crate) options: AsyncOptions,
    pub(crate) connections: Connections,
    pub(crate) punctuate_every: Option<Duration>,
    pub(crate) punctuate_on_stream_time: Option<Duration>,
    pub(crate) supplier: Supplier,
}

pub(crate) struct SubTopology {
    pub(crate) name: String,
    pub(crate) effects: Effects,
    pub(crate) sources: Vec<SourceSpec>,
    pub(crate) stores: Vec<StoreSpec>,
    pub(crate) sinks: Vec<SinkSpec>,
    pub(crate) nodes: Vec<NodeSpec>,
}

impl SubTopology {
    /// What its records are promised when the application asks for `asked`.
    pub(crate) fn guarantee(&self, asked: Guarantee) -> Guarantee {
        asked.with(self.effects)
    }
}

/// A checked application graph, ready to run any number of times.
pub struct Topology {
    pub(crate) application_id: String,
    pub(crate) subs: Vec<SubTopology>,
}

impl Topology {
    /// Begins a graph. `application_id` names the consumer group, the changelogs
    /// (`<app>-<store>-changelog`) and the dead letters (`<app>-dlq`).
    pub fn builder(application_id: &str) -> Builder {
        Builder::new(application_id)
    }

    /// The application's id.
    pub fn application_id(&self) -> &str {
        &self.application_id
    }

    /// Topic of the application's dead letters.
    pub fn dead_letter_topic(&self) -> String {
        format!("{}-dlq", self.application_id)
    }

    /// Whether two sources have to arrive at the same member, partition by partition.
    pub fn is_co_partitioned(&self) -> bool {
        self.subs.iter().any(|sub| sub.sources.len() > 1)
    }

    /// The graph as text: one block per sub-topology, in the order of declaration.
    pub fn describe(&self) -> String {
        describe::text(self)
    }
}

impl std::fmt::Debug for Topology {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.describe())
    }
}
