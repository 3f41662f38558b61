//! Webhook events on their way: what is planned, sent, retried, given up.
//!
//! [`Outbox`] decides and counts, without sockets or timers; [`courier`] carries it out.

mod counts;
pub mod courier;
mod course;
mod forgery;
mod journal;
mod outbox;

pub use self::counts::Counts;
pub use self::course::{Course, Delay, Plan};
pub use self::forgery::Forgery;
pub use self::journal::{Entry, Fate, Journal};
pub use self::outbox::{Delivery, Next, Outbox, Retries, Sender};
