//! A stream-processing runtime on Kafka: topologies, tasks, state, dead letters, a test driver.
