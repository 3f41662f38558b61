//! The operator's tool, as a library: the binary `bankstream` is a thin door to it, and the test harness
//! starts the same local platform through it.
#![warn(missing_docs)]

pub mod cli;
pub mod command;
pub mod output;
pub mod platform;
pub mod process;
