//! An Up-compatible bank with a webhook dispatcher and faults on demand.

fn main() {}
