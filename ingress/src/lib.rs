//! Verified webhooks in, Avro records on the raw topic out.
