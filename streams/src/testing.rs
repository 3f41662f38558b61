//! Runs a topology without a broker: the same task core, virtual time, typed records in and out.

mod driver;
#[cfg(test)]
mod simulation;

pub use driver::{DeadLetter, DriverError, StoreView, TestDriver};
