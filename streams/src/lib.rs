#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

pub mod admin;
mod clock;
mod context;
pub mod dead_letter;
mod dedupe;
mod disk;
mod disposition;
mod fault;
mod key;
mod metrics;
mod names;
mod native;
mod node;
mod processor;
mod record;
pub mod registry;
mod runtime;
pub mod spans;
mod store;
mod task;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod topology;
pub mod topology_file;
pub mod wire;

pub use clock::{Clock, SystemClock};
pub use context::{Context, ORIGIN_HEADER, Punctuation};
pub use disposition::{Classify, Disposition, Failure, Retry};
pub use fault::Fault;
pub use key::{Key, KeyError};
pub use metrics::Metrics;
pub use names::Names;
pub use node::{LedgerEntry, LedgerState};
pub use processor::{AsyncOptions, AsyncProcessor, Begin, Effect, Outcome, Processor, Value};
pub use record::{Headers, Outgoing, Position, RawRecord, Record, Timestamp};
pub use runtime::{Application, CheckError, GroupProtocol, StartError, StreamsArgs, main};
pub use task::{Halt, RetryPolicy};
pub use topology::{DedupeStore, Effects, Sink, Source, Store, Topology};
pub use topology_file::Guarantee;
pub use wire::{FixedSchemas, Schemas};
