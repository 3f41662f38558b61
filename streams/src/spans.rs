//! Spans of handled records, where a collector wants them: each continues the trace in its record's
//! headers (W3C `traceparent`), so that one trace leads from a request to all that came of it.
//!
//! One place for the process, as a collector is. Without one, a record costs a look at a flag.

mod export;

use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{
    Span as _, SpanContext, SpanId, SpanKind, TraceContextExt as _, TraceFlags, TraceId,
    TraceState, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tokio::runtime::Handle;

pub(crate) use export::ExportError;

use crate::record::{RawRecord, Timestamp};

/// Name of the header that carries the trace.
const TRACEPARENT: &str = "traceparent";

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
    let provider = export::provider(endpoint, application, runtime)?;
    let tracer = provider.tracer(SCOPE);
    let spans = Spans { application: application.to_owned(), tracer, provider };
    if SPANS.set(spans).is_err() {
        tracing::debug!("spans were sent before");
    }
    Ok(())
}

/// Sends what is not sent yet. Blocks; what cannot be sent is given up.
pub(crate) fn stop() {
    let Some(spans) = SPANS.get() else { return };
    if let Err(error) = spans.provider.shutdown_with_timeout(export::SHUTDOWN_TIMEOUT) {
        tracing::warn!("the last spans were not sent: {error}");
    }
}

/// Notes that the processor called `node` has handled a record, begun at one time and finished at
/// another, both in milliseconds. A record without a trace makes no span.
pub(crate) fn handled(node: &str, record: &RawRecord, began: Timestamp, finished: Timestamp) {
    let Some(spans) = SPANS.get() else { return };
    let Some(parent) = record.headers.text(TRACEPARENT).and_then(parent) else { return };
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

/// The context of a well-formed `traceparent` of version 0.
fn parent(text: &str) -> Option<Context> {
    let mut fields = text.split('-');
    let (version, trace, span, flags) =
        (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    if version != "00" || fields.next().is_some() || flags.len() != 2 {
        return None;
    }
    let trace = TraceId::from_hex(trace).ok()?;
    let span = SpanId::from_hex(span).ok()?;
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?);
    let context = SpanContext::new(trace, span, flags, true, TraceState::default());
    context.is_valid().then(|| Context::new().with_remote_span_context(context))
}

#[cfg(test)]
mod tests;
