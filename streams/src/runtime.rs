//! The task core on a real Kafka: stream thread, consumer, producer, restore, health.

mod app;
mod application;
mod arguments;
mod check;
mod engine;
mod group;
mod health;
mod inputs;
mod internal_topics;
mod launch;
mod positions;
mod producer;
mod queries;
mod restore;
mod telemetry;
mod thread;
mod unread;

pub use application::Application;
pub use arguments::StreamsArgs;
pub use check::CheckError;
pub use group::GroupProtocol;
pub use launch::{StartError, main};

/// Calls of asynchronous processors at the same time, over all tasks of a process, unless set: enough
/// for a thousand a second each at a patient partner, few enough for one process's sockets.
const CALLS_IN_FLIGHT_MAX: usize = 1_024;
