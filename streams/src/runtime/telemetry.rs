//! Logs to standard error.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;

/// Starts logging: level by `RUST_LOG` (default `info`), form by `LOG_FORMAT` (`json`, or `text` for
/// people, in colour on a terminal only). A second call changes nothing.
pub(super) fn init() {
    #[expect(
        clippy::disallowed_methods,
        reason = "logging starts before arguments are read, so that reading them can be logged"
    )]
    let is_json = std::env::var("LOG_FORMAT").is_ok_and(|format| format == "json");
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr);
    let started =
        if is_json { builder.json().try_init() } else { builder.with_target(false).try_init() };
    if started.is_err() {
        tracing::debug!("logging was started before");
    }
}
