//! Verifies and signs webhooks: bytes and a time in, a verdict out.
