//! Verified webhooks in, Avro records on the raw topic out.
//!
//! A request goes through `receive`: its body is read within a limit ([`body`]), its exact bytes are
//! verified by its source's [`door`], only then parsed, looked up among what was accepted before
//! ([`dedupe`]), published ([`publish`]) and answered when the broker has acknowledged it. Nothing is
//! kept on this machine: what is not on the topic was not accepted.
#![warn(missing_docs)]

pub mod address;
pub mod answer;
pub mod body;
pub mod budget;
mod canary;
pub mod capture;
pub mod client;
pub mod clock;
pub mod complaints;
pub mod config;
pub mod deadline;
pub mod dedupe;
pub mod door;
pub mod gate;
pub mod key_fetch;
pub mod listen;
pub mod metrics;
pub mod publish;
pub mod rate;
pub mod readiness;
pub mod receive;
pub mod recent;
pub mod record;
pub mod routes;
pub mod server;
mod tail;
pub mod telemetry;
pub mod trace;

#[cfg(test)]
mod testing;
