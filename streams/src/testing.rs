//! Runs a topology without a broker: the same task core, virtual time, typed records in and out.

mod driver;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

pub use driver::{DeadLetter, DriverError, StoreView, TestDriver};
