//! The declared sources: whose webhooks are taken, at which path, with which secrets.
//!
//! They are the `[sources.NAME]` tables of `topology.toml`. A preset fills in what the provider
//! fixes (scheme, where the event's id is, the answer it wants); the table may override it:
//!
//! ```toml
//! [sources.up]
//! preset = "up"
//! path = "/webhooks/up"
//! secrets = [{ id = "env", env = "UP_WEBHOOK_SECRET" }]
//! user_agent = "Up Webhook Dispatcher"   # optional: refuse any other sender
//! dedupe_window = "14d"                  # optional
//! ```

mod config;
mod event;
mod preset;
mod secrets;

pub use config::{SecretRef, SecretSite, SourceConfig, SourceError, from_tables, parse};
pub use event::{Event, EventShape, InvalidPayload, TimeForm};
pub use preset::Preset;
pub use secrets::{LoadError, Loaded, SecretStore};
