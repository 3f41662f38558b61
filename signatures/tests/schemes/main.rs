//! What must hold for every scheme alike: the built-in ones, their variants, and partners' own.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod adyen;
mod identity;
mod mutations;
mod objects;
mod rows;
mod table;
mod tokens;
