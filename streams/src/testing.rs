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

/// A task's state on the disk, for programs that measure it.
#[doc(hidden)]
pub mod disk {
    pub use crate::disk::{
        Disk, Entry, Identity, OpenError, Opened, Reason, Reflects, Snapshot, Visit, open,
    };
}
