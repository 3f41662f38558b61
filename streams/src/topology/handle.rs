//! Typed handles of sources, stores and sinks: what processors hold.

use std::{fmt, marker::PhantomData, sync::Arc};

macro_rules! handle {
    ($(#[$doc:meta])* $name:ident, $id:ident, $(#[$id_doc:meta])*) => {
        $(#[$doc])*
        pub struct $name<K, V> {
            pub(crate) sub: usize,
            pub(crate) index: usize,
            name: Arc<str>,
            types: PhantomData<fn() -> (K, V)>,
        }

        impl<K, V> $name<K, V> {
            pub(crate) fn new(sub: usize, index: usize, name: &str) -> Self {
                Self { sub, index, name: Arc::from(name), types: PhantomData }
            }

            /// The name it was declared with.
            pub fn name(&self) -> &str {
                &self.name
            }

            /// The handle without its types, to connect a processor with.
            pub fn id(&self) -> $id {
                $id { sub: self.sub, index: self.index }
            }
        }

        impl<K, V> Clone for $name<K, V> {
            fn clone(&self) -> Self {
                Self {
                    sub: self.sub,
                    index: self.index,
                    name: Arc::clone(&self.name),
                    types: PhantomData,
                }
            }
        }

        impl<K, V> fmt::Debug for $name<K, V> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($name)).field(&self.name).finish()
            }
        }

        $(#[$id_doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $id {
            pub(crate) sub: usize,
            pub(crate) index: usize,
        }
    };
}

handle!(
    /// A topic that is read.
    Source,
    SourceId,
    /// A source without its types.
);
handle!(
    /// A topic that is written.
    Sink,
    SinkId,
    /// A sink without its types.
);
handle!(
    /// A state store with its changelog.
    Store,
    StoreId,
    /// A store without its types.
);

/// A store of ids that were seen, made with
/// [`dedupe_store`](crate::topology::SubTopologyBuilder::dedupe_store).
#[derive(Clone, Debug)]
pub struct DedupeStore {
    id: StoreId,
    name: Arc<str>,
}

impl DedupeStore {
    pub(crate) fn new(sub: usize, index: usize, name: &str) -> Self {
        Self { id: StoreId { sub, index }, name: Arc::from(name) }
    }

    /// The name it was declared with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The handle to connect a processor with.
    pub fn id(&self) -> StoreId {
        self.id
    }
}
