//! Builds and checks a graph.

use std::{collections::HashSet, sync::Arc, time::Duration};

use serde::{Serialize, de::DeserializeOwned};

use super::{
    DedupeStore, Effects, Error, NodeSpec, Order, Sink, SinkId, SinkSpec, Source, SourceSpec,
    Store, StoreId, StoreKind, StoreSpec, SubTopology, Supplier, Topology,
    names::{check_name, check_stores},
};
use crate::{
    context::Connections,
    key::Key,
    node::{AsyncNode, EffectNode, Hosts, Input, SyncNode},
    processor::{AsyncOptions, AsyncProcessor, Effect, Processor, Value},
    wire::{Schemas, keep},
};

/// How long a request to the outside may take as a whole.
const HTTP_TIMEOUT: Duration = Duration::from_secs(30);

/// How long connecting may take.
const HTTP_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Collects an application's sub-topologies.
pub struct Builder {
    application_id: String,
    subs: Vec<SubTopology>,
    errors: Vec<Error>,
}

impl Builder {
    pub(super) fn new(application_id: &str) -> Self {
        Self { application_id: application_id.to_owned(), subs: Vec::new(), errors: Vec::new() }
    }

    /// Begins a sub-topology: nodes that share stores. Two sub-topologies share a topic or nothing.
    pub fn sub_topology(&mut self, name: &str, effects: Effects) -> SubTopologyBuilder<'_> {
        if self.subs.iter().any(|sub| sub.name == name) {
            self.errors.push(Error::SubTopologyTwice { name: name.to_owned() });
        }
        let index = self.subs.len();
        self.subs.push(SubTopology {
            name: name.to_owned(),
            effects,
            sources: Vec::new(),
            stores: Vec::new(),
            sinks: Vec::new(),
            nodes: Vec::new(),
        });
        SubTopologyBuilder { builder: self, index }
    }

    /// Checks the whole; the first thing that is wrong is the error.
    pub fn build(mut self) -> Result<Topology, Error> {
        let mut topics = HashSet::new();
        check_name("application", &self.application_id, &mut self.errors);
        check_stores(&self.subs, &mut self.errors);
        for sub in &self.subs {
            for source in &sub.sources {
                if source.node.is_none() {
                    self.errors.push(Error::Idle {
                        source_name: source.name.clone(),
                        sub: sub.name.clone(),
                    });
                }
                if !topics.insert(source.topic.clone()) {
                    self.errors.push(Error::ReadTwice {
                        topic: source.topic.clone(),
                        application_id: self.application_id.clone(),
                    });
                }
            }
        }
        if topics.is_empty() {
            self.errors.push(Error::Empty { application_id: self.application_id.clone() });
        }
        match self.errors.into_iter().next() {
            Some(error) => Err(error),
            None => Ok(Topology { application_id: self.application_id, subs: self.subs }),
        }
    }
}

fn duplicate(kind: &'static str, name: &str, sub: &str) -> Error {
    Error::Duplicate { kind, name: name.to_owned(), sub: sub.to_owned() }
}

/// Collects one sub-topology.
pub struct SubTopologyBuilder<'a> {
    builder: &'a mut Builder,
    index: usize,
}

impl SubTopologyBuilder<'_> {
    /// A topic to read; records need a key and an Avro value of type `V`.
    pub fn source<K: Key, V: Value>(&mut self, name: &str, topic: &str) -> Source<K, V> {
        let (errors, sub) = self.parts();
        if sub.sources.iter().any(|known| known.name == name || known.topic == topic) {
            errors.push(duplicate("source", name, &sub.name));
        }
        sub.sources.push(SourceSpec {
            name: name.to_owned(),
            topic: topic.to_owned(),
            schema: keep(V::get_schema()),
            node: None,
        });
        Source::new(self.index, self.sub().sources.len().saturating_sub(1), name)
    }

    /// A topic to write.
    pub fn sink<K: Key, V: Value>(&mut self, name: &str, topic: &str) -> Sink<K, V> {
        let (errors, sub) = self.parts();
        if sub.sinks.iter().any(|known| known.name == name) {
            errors.push(duplicate("sink", name, &sub.name));
        }
        sub.sinks.push(SinkSpec {
            name: name.to_owned(),
            topic: topic.to_owned(),
            schema: keep(V::get_schema()),
        });
        Sink::new(self.index, self.sub().sinks.len().saturating_sub(1), name)
    }

    /// A state store; its changelog is `<app>-<name>-changelog`, so a name is unique in the application.
    pub fn store<K, V>(&mut self, name: &str) -> Store<K, V>
    where
        K: Key,
        V: Serialize + DeserializeOwned,
    {
        self.any_store(name, StoreKind::State)
    }

    /// A store of ids that were seen, for dropping repeats: ids are remembered for `window` of stream
    /// time and forgotten in whole buckets. Its changelog is `<app>-<name>-changelog`, deleted by
    /// Kafka after the window.
    pub fn dedupe_store(&mut self, name: &str, window: Duration) -> DedupeStore {
        if window.as_millis() == 0 {
            let name = name.to_owned();
            self.builder.errors.push(Error::Zero { what: "the window", name });
        }
        let store: Store<Vec<u8>, ()> = self.any_store(name, StoreKind::Seen { window });
        DedupeStore::new(self.index, store.index, name)
    }

    /// An HTTP client without redirects, with 30 s for a request and 5 s of them to connect; refused unless
    /// effects are declared.
    pub fn http_client(&self) -> Result<reqwest::Client, Error> {
        if self.sub().effects == Effects::None {
            return Err(self.beyond("http_client", Effects::Read));
        }
        reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(HTTP_TIMEOUT)
            .connect_timeout(HTTP_CONNECT_TIMEOUT)
            .build()
            .map_err(|error| Error::HttpClient { reason: error.to_string() })
    }

    /// A synchronous processor; `supplier` makes one per task.
    pub fn processor<P: Processor>(
        &mut self,
        name: &str,
        source: &Source<P::Key, P::Value>,
        supplier: impl Fn() -> P + Send + Sync + 'static,
    ) -> NodeBuilder<'_> {
        let schema = self.schema_of(source);
        let supplier: Supplier = Box::new(move |schemas: Arc<dyn Schemas>| {
            Box::new(SyncNode { processor: supplier(), input: Input::new(schemas, schema) })
        });
        self.node(name, source, Order::Partition, AsyncOptions::default(), supplier)
    }

    /// An asynchronous processor; `supplier` makes one per task.
    pub fn async_processor<P: AsyncProcessor>(
        &mut self,
        name: &str,
        source: &Source<P::Key, P::Value>,
        supplier: impl Fn() -> P + Send + Sync + 'static,
        options: AsyncOptions,
    ) -> NodeBuilder<'_> {
        if self.sub().effects < Effects::Read {
            let error = self.beyond(name, Effects::Read);
            self.builder.errors.push(error);
        }
        let schema = self.schema_of(source);
        let hosts = Arc::new(Hosts::new(options.per_host_max));
        let supplier: Supplier = Box::new(move |schemas: Arc<dyn Schemas>| {
            Box::new(AsyncNode {
                processor: supplier(),
                hosts: Arc::clone(&hosts),
                input: Input::new(schemas, schema),
            })
        });
        self.node(name, source, Order::Key, options, supplier)
    }

    /// An effect with its ledger, the topic `<app>-<ledger>`; `supplier` makes one per task.
    pub fn effect<E: Effect>(
        &mut self,
        name: &str,
        source: &Source<E::Key, E::Value>,
        ledger: &str,
        supplier: impl Fn() -> E + Send + Sync + 'static,
        options: AsyncOptions,
    ) -> NodeBuilder<'_> {
        if self.sub().effects < Effects::Write {
            let error = self.beyond(name, Effects::Write);
            self.builder.errors.push(error);
        }
        let ledger = self.any_store(ledger, StoreKind::Ledger);
        let schema = self.schema_of(source);
        let application_id = self.builder.application_id.clone();
        let id = ledger.id();
        let supplier: Supplier = Box::new(move |schemas: Arc<dyn Schemas>| {
            Box::new(EffectNode {
                effect: supplier(),
                input: Input::new(schemas, schema),
                ledger: ledger.clone(),
                application_id: application_id.clone(),
            })
        });
        let mut node = self.node(name, source, Order::Key, options, supplier);
        node.stores([id]);
        node
    }

    fn any_store<K, V>(&mut self, name: &str, kind: StoreKind) -> Store<K, V> {
        let (errors, sub) = self.parts();
        if sub.stores.iter().any(|known| known.name == name) {
            errors.push(duplicate("store", name, &sub.name));
        }
        sub.stores.push(StoreSpec { name: name.to_owned(), kind });
        Store::new(self.index, self.sub().stores.len().saturating_sub(1), name)
    }

    fn node<K, V>(
        &mut self,
        name: &str,
        source: &Source<K, V>,
        order: Order,
        options: AsyncOptions,
        supplier: Supplier,
    ) -> NodeBuilder<'_> {
        let sub_index = self.index;
        let (errors, sub) = self.parts();
        if sub.nodes.iter().any(|known| known.name == name) {
            errors.push(duplicate("processor", name, &sub.name));
        }
        let index = sub.nodes.len();
        match sub.sources.get_mut(source.index).filter(|_| source.sub == sub_index) {
            Some(known) if known.node.is_some() => errors
                .push(Error::Shared { source_name: known.name.clone(), sub: sub.name.clone() }),
            Some(known) => known.node = Some(index),
            None => errors.push(foreign(name, &sub.name, "source")),
        }
        sub.nodes.push(NodeSpec {
            name: name.to_owned(),
            order,
            options,
            connections: Connections { sub: sub_index, ..Connections::default() },
            punctuate_every: None,
            punctuate_on_stream_time: None,
            supplier,
        });
        NodeBuilder { sub: SubTopologyBuilder { builder: self.builder, index: sub_index }, index }
    }

    fn schema_of<K: Key, V: Value>(&self, source: &Source<K, V>) -> &'static apache_avro::Schema {
        let declared = self.sub().sources.get(source.index).filter(|_| source.sub == self.index);
        declared.map_or_else(|| keep(V::get_schema()), |declared| declared.schema)
    }

    fn beyond(&self, name: &str, needed: Effects) -> Error {
        let sub = self.sub();
        Error::Effects {
            sub: sub.name.clone(),
            declared: sub.effects.as_str(),
            name: name.to_owned(),
            needed: needed.as_str(),
        }
    }

    fn parts(&mut self) -> (&mut Vec<Error>, &mut SubTopology) {
        (&mut self.builder.errors, &mut self.builder.subs[self.index])
    }

    fn sub(&self) -> &SubTopology {
        &self.builder.subs[self.index]
    }
}

fn foreign(name: &str, sub: &str, kind: &'static str) -> Error {
    Error::Foreign { name: name.to_owned(), sub: sub.to_owned(), kind }
}

/// Connects a processor.
pub struct NodeBuilder<'a> {
    sub: SubTopologyBuilder<'a>,
    index: usize,
}

impl NodeBuilder<'_> {
    /// Stores it may use.
    pub fn stores(&mut self, stores: impl IntoIterator<Item = StoreId>) -> &mut Self {
        for store in stores {
            if store.sub == self.sub.index {
                self.spec().connections.stores.push(store.index);
            } else {
                self.refuse("store");
            }
        }
        self
    }

    /// Sinks it may write.
    pub fn sinks(&mut self, sinks: impl IntoIterator<Item = SinkId>) -> &mut Self {
        for sink in sinks {
            if sink.sub == self.sub.index {
                self.spec().connections.sinks.push(sink.index);
            } else {
                self.refuse("sink");
            }
        }
        self
    }

    fn check_interval(&mut self, every: Duration) {
        if every.as_millis() == 0 {
            let name = self.spec().name.clone();
            let error = Error::Zero { what: "the interval of punctuations", name };
            self.sub.builder.errors.push(error);
        }
    }

    /// Calls its `punctuate` by wall-clock time.
    pub fn punctuate_every(&mut self, every: Duration) -> &mut Self {
        self.check_interval(every);
        self.spec().punctuate_every = Some(every);
        self
    }

    /// Calls its `punctuate` by the records' own time: once whenever stream time passes a multiple of
    /// `every`. Replays punctuate at the same records.
    pub fn punctuate_on_stream_time(&mut self, every: Duration) -> &mut Self {
        self.check_interval(every);
        self.spec().punctuate_on_stream_time = Some(every);
        self
    }

    fn refuse(&mut self, kind: &'static str) {
        let name = self.spec().name.clone();
        let sub = self.sub.sub().name.clone();
        self.sub.builder.errors.push(foreign(&name, &sub, kind));
    }

    fn spec(&mut self) -> &mut NodeSpec {
        let index = self.index;
        &mut self.sub.parts().1.nodes[index]
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("application_id", &self.application_id)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for SubTopologyBuilder<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SubTopologyBuilder").field("name", &self.sub().name).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for NodeBuilder<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeBuilder").field("index", &self.index).finish_non_exhaustive()
    }
}
