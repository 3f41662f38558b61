#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod change;
mod config;
mod error;
mod event;
mod inquiry;
mod memory;
mod numbers;
mod output;
mod processor;
#[cfg(test)]
mod testing;
mod topology;

pub use config::Config;
pub use error::Error;
pub use event::EventError;
pub use topology::{APPLICATION_ID, outline, topology};
