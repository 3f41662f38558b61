//! Clients of the banks' APIs behind one trait, with rate budgets.
//!
//! [`Bank`] is what a processor asks: an account, a transaction, a listing. Answers come with the
//! bank's exact bytes and the time they were given ([`Observed`]). [`UpClient`] is the first bank;
//! [`Coalesced`] wraps any bank and lets one read of an account serve every caller that waits for it.
//!
//! Rules that hold for every client here:
//! - a request goes to the configured host and nowhere else: ids are checked, links of answers are
//!   followed only below the configured base, redirects are never followed;
//! - the token is in no log, error or `Debug` text;
//! - amounts are whole base units of their currency, never a fraction;
//! - an unknown variant of one of the bank's enumerations is kept as sent, an unknown field is skipped.
#![warn(missing_docs)]

mod bank;
mod budget;
mod clock;
mod coalesce;
mod error;
mod resource;
mod secret;
mod target;
#[cfg(test)]
mod testing;
mod up;

pub use bank::{Bank, BoxFuture, Cursor, Observed, PAGES_MAX, Page};
pub use budget::{BACKGROUND_FLOOR, Budget, BudgetState, Priority, REQUESTS_PER_HOUR};
pub use clock::{Clock, SystemClock};
pub use coalesce::Coalesced;
pub use error::{BankError, Silence};
pub use resource::{Account, Money, Transaction};
pub use secret::{Token, TokenError};
pub use target::{TargetError, target};
pub use up::{
    CreatedWebhook, DeliveryLog, RetryPolicy, UpArgs, UpArgsError, UpClient, UpConfig,
    UpConfigError, Webhook, WebhookSecret,
};
