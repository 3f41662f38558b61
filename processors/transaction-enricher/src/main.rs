//! The transaction-enricher processor.

fn main() {}
