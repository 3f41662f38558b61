//! The task core on a real Kafka: stream thread, consumer, producer, restore, health.

mod app;
mod arguments;
mod check;
mod engine;
mod group;
mod health;
mod launch;
mod producer;
mod restore;
mod telemetry;
mod thread;

pub use arguments::StreamsArgs;
pub use check::CheckError;
pub use launch::{StartError, main};
