//! The coin-trigger processor.

fn main() {}
