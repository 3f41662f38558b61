//! The operator's tool, as a library: the binary `bankstream` is a thin door to it, and the test harness
//! starts the same local platform through it.
#![warn(missing_docs)]

pub mod cli;
pub mod command;
pub mod config;
pub mod declaration;
pub mod demo;
pub mod graph;
pub mod output;
pub mod patience;
pub mod pipeline;
pub mod plan;
pub mod platform;
pub mod process;
pub mod table;
