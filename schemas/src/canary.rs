//! What tells a canary from an event: a signed request that proves the way in and is about nothing.
//!
//! The mark is in the event's id, where the signature covers it as it covers any id: with an unsigned
//! mark somebody could turn a genuine request that he has caught into one that nobody acts on.

/// What a canary's event id begins with; no provider's does.
pub const EVENT_ID_PREFIX: &str = "bankstream-canary-";

/// The `origin` of its raw record.
pub const ORIGIN: &str = "canary";
