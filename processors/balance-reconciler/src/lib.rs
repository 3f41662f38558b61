#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

pub mod account;
pub mod books;
pub mod config;
pub mod error;
pub mod ledger;
pub mod numbers;
mod opening;
pub mod processor;
pub mod statement;
#[cfg(test)]
mod testing;
mod topology;
pub mod version;

pub use config::Config;
pub use topology::{APPLICATION_ID, outline, topology};
