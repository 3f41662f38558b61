//! Promises of the whole pipeline, each in its own file, against a real Kafka and real binaries.
