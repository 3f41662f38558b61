//! The transaction-enricher processor.
