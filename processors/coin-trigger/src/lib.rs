//! The coin-trigger processor.
