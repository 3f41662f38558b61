//! Runs a topology without a broker: the same task core, virtual time, typed records in and out.

mod driver;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

pub use driver::{DeadLetter, DriverError, StoreView, TestDriver};

/// The unsafe calls of the library, for tests on a real broker.
#[cfg(feature = "testing")]
#[doc(hidden)]
pub mod native {
    pub use crate::native::*;
}
