//! Starts the real pipeline for the tests: servers, binaries, and what to wait for.
