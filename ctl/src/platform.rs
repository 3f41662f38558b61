//! A real Kafka and a real Confluent-compatible registry on this machine, without containers.

mod state;

pub use state::State;
