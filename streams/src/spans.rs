//! Spans of handled records, where a collector wants them: each continues the trace in its record's
//! headers (W3C `traceparent`), so that one trace leads from a request to all that came of it.
//!
//! One place for the process, as a collector is. Without one, a record costs a look at a flag. Who makes
//! other spans than the runtime, such as those of requests, sends them by the same [`provider`].

mod export;
pub mod traceparent;

use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{
    Span as _, SpanKind, TraceContextExt as _, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tokio::runtime::Handle;

pub use export::{ExportError, provider, shut_down};

use self::traceparent::TRACEPARENT;
use crate::record::{RawRecord, Timestamp};

/// Who makes the spans, for the collector.
const SCOPE: &str = "bankstream-streams";

static SPANS: OnceLock<Spans> = OnceLock::new();

/// Where spans go, and in whose name.
struct Spans {
    application: String,
    tracer: SdkTracer,
    provider: SdkTracerProvider,
}

/// Begins to send spans of `application` to the collector at `endpoint` (OTLP over HTTP), by tasks of
/// `runtime`. A second call changes nothing.
pub(crate) fn start(
    endpoint: &str,
    application: &str,
    runtime: &Handle,
) -> Result<(), ExportError> {
    let provider = provider(endpoint, application, runtime)?;
    let tracer = provider.tracer(SCOPE);
    let spans = Spans { application: application.to_owned(), tracer, provider };
    if SPANS.set(spans).is_err() {
        tracing::debug!("spans were sent before");
    }
    Ok(())
}

/// Sends what is not sent yet. Blocks; what cannot be sent is given up.
pub(crate) fn stop() {
    if let Some(spans) = SPANS.get() {
        shut_down(&spans.provider);
    }
}

/// Notes that the processor called `node` has handled a record, begun at one time and finished at
/// another, both in milliseconds. A record without a trace makes no span.
pub(crate) fn handled(node: &str, record: &RawRecord, began: Timestamp, finished: Timestamp) {
    let Some(spans) = SPANS.get() else { return };
    let parent = record.headers.text(TRACEPARENT).and_then(traceparent::read);
    let Some(parent) = parent else { return };
    let parent = Context::new().with_remote_span_context(parent);
    let position = &record.position;
    let attributes = [
        KeyValue::new("messaging.system", "kafka"),
        KeyValue::new("messaging.operation.type", "process"),
        KeyValue::new("messaging.destination.name", position.topic.to_string()),
        KeyValue::new("messaging.destination.partition.id", position.partition.to_string()),
        KeyValue::new("messaging.kafka.offset", position.offset),
        KeyValue::new("messaging.consumer.group.name", spans.application.clone()),
    ];
    let mut span = spans
        .tracer
        .span_builder(format!("{node} {}", position.topic))
        .with_kind(SpanKind::Consumer)
        .with_start_time(system_time(began))
        .with_attributes(attributes)
        .start_with_context(&spans.tracer, &parent);
    span.end_with_timestamp(system_time(finished));
}

fn system_time(at: Timestamp) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(at).unwrap_or_default())
}

#[cfg(test)]
mod tests;
