//! The social-poster processor.
