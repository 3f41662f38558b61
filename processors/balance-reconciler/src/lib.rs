//! The balance-reconciler processor.

pub mod account;
pub mod books;
pub mod error;
pub mod statement;
#[cfg(test)]
mod testing;
pub mod version;
