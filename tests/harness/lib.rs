//! Starts the real pipeline for the tests: servers, binaries, and what to wait for.
#![warn(missing_docs)]

mod doors;
mod kafka;
mod load;
pub mod payments;
mod pipeline;
mod provider;
mod sink;
mod size;
mod tool;
mod topic;
mod wait;

pub use doors::{Doors, Replica};
pub use kafka::Kafka;
pub use load::Load;
pub use pipeline::{Paths, Pipeline, Setup, turn};
pub use provider::{Audit, Delivery, Provider, Reply, Webhook};
pub use sink::{Call, Sink};
pub use size::{Size, chaos_time};
pub use tool::{answer, bankstream};
pub use topic::{Consumed, committed, produce, read_all};
pub use wait::{wait_for, wait_until};
