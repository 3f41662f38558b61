#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

pub mod api;
pub mod bank;
pub mod clock;
pub mod config;
pub mod control;
pub mod dispatch;
pub mod faults;
pub mod ids;
mod opening;
mod running;
pub mod scenario;
pub mod secret;
mod server;
pub mod stripe;
pub mod webhooks;
pub mod world;

pub use config::Config;
pub use running::{Sandbox, StartError};
