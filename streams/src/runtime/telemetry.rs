//! Logs to standard error, spans to a collector.

use std::io::{self, IsTerminal as _};

use tokio::runtime::Handle;
use tracing_subscriber::EnvFilter;

use crate::spans::{self, ExportError};

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

/// Starts sending the spans of `application`, where `OTEL_EXPORTER_OTLP_ENDPOINT` names a collector.
pub(super) fn start_spans(application: &str) -> Result<(), ExportError> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the variables of OpenTelemetry's SDK are its configuration, for every program"
    )]
    let endpoint = std::env::var("OTEL_EXPORTER_OTLP_ENDPOINT").unwrap_or_default();
    if endpoint.is_empty() {
        return Ok(());
    }
    spans::start(&endpoint, application, &Handle::current())
}

/// Sends the last spans.
pub(super) async fn stop_spans() {
    if tokio::task::spawn_blocking(spans::stop).await.is_err() {
        tracing::warn!("the last spans were not sent");
    }
}
