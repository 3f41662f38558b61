//! The whole pipeline on this machine: a bank of the sandbox, webhooks, Kafka, the processors.
//!
//! It does what a person would type: `platform start`, `topology apply`, `webhook create`, the
//! programs one by one, and then it watches the topics. The tests of the whole use the same stage.

mod ingress;
mod lag;
mod look;
mod money;
mod stage;
mod summary;
mod view;
mod watch;

pub use ingress::Received;
pub use lag::Lags;
pub use look::Look;
pub use money::money;
pub use stage::{Options, Stage};
pub use summary::{AccountSummary, Lost, Summary};
pub use view::{line, table};
pub use watch::{Balance, Totals, Watch};
