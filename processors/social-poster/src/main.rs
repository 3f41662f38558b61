//! The social-poster processor.

fn main() {}
