//! The balance-reconciler processor.
