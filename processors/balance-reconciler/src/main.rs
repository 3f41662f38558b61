//! The balance-reconciler processor.

fn main() {}
