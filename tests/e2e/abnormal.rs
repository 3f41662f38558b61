//! What does not happen every day: each case has a documented answer (`streams/README.md`), a message
//! that says what to do, and a way out of it that works. Against a real Kafka, which the cases share.

mod case;
mod directories;
mod keys;
mod schemas;
mod stores;
mod strangers;
mod topics;
mod transactions;
