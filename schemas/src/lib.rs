//! The records of bankstream: Avro schemas, their Rust types, topic names, and what rules ask of a
//! transaction ([`condition`]). No I/O, no clock.
//!
//! Money is a signed 64-bit number of base units (cents) beside an ISO 4217 code. Times are
//! [`Timestamp`]s, milliseconds since the Unix epoch. Enumerations of a foreign API are strings: a
//! variant that is not known yet survives a round trip.
#![warn(missing_docs)]

mod account;
mod avro;
pub mod canary;
mod coin;
pub mod condition;
mod position;
mod rejected;
mod social;
mod time;
pub mod topics;
mod transaction;
mod webhook;

pub use account::{AccountObserved, BalanceReconciled, ExplainedItem};
pub use coin::{CoinTrigger, CoinTriggerFired, CoinTriggerReversed};
pub use position::Position;
pub use rejected::{Redacted, RejectedHeader, WebhookRejected};
pub use social::{PostPublished, PostRequested};
pub use time::Timestamp;
pub use transaction::{Transaction, TransactionEnriched};
pub use webhook::{INTEGRITY_UNKNOWN, SignatureHeader, WebhookReceived};

pub(crate) use avro::avro_schema;
