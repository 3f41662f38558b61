//! The sub-commands, one file each.

pub mod bench;
pub mod demo;
pub mod dlq;
pub mod hold;
pub mod lag;
pub mod offsets;
pub mod platform;
pub mod run;
pub mod tail;
pub mod topology;
pub mod transactions;
pub mod webhook;
