//! The trace of a request: W3C `traceparent`, and spans where somebody collects them.
//!
//! Every record carries a trace context, collected or not, so that whoever reads it later can. The
//! span of a webhook begins when it is known to be genuine: what a forger sends makes no spans.

use opentelemetry::trace::{
    Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId,
    TraceState, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, Span};
use streams::spans::{self, ExportError, traceparent};
use tokio::runtime::Handle;
use warp::http::HeaderMap;

use crate::answer::Answer;
use crate::record::RawRecord;

/// Who makes the spans, for the collector.
const SCOPE: &str = "bankstream-ingress";

/// Where spans go.
#[derive(Clone, Debug, clap::Args)]
#[group(id = "traces")]
pub struct Options {
    /// Base address of an OpenTelemetry collector (OTLP over HTTP), such as `http://localhost:4318`;
    /// without it no spans are sent. The other variables of OpenTelemetry's SDK apply too.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    pub otlp_endpoint: Option<String>,
    /// Name of this service in traces.
    #[arg(long, env = "OTEL_SERVICE_NAME", default_value = "bankstream-ingress")]
    pub otel_service_name: String,
}

impl Options {
    /// The spans as configured, sent by tasks of `runtime`.
    pub fn spans(&self, runtime: &Handle) -> Result<Spans, ExportError> {
        let Some(endpoint) = self.otlp_endpoint.as_deref().filter(|it| !it.is_empty()) else {
            return Ok(Spans::off());
        };
        spans::provider(endpoint, &self.otel_service_name, runtime).map(Spans::to)
    }
}

/// Makes the spans of webhooks, or only their ids.
#[derive(Debug)]
pub struct Spans(Option<(SdkTracer, SdkTracerProvider)>);

impl Spans {
    /// Spans that nobody collects.
    pub fn off() -> Self {
        Self(None)
    }

    /// Spans that go to a collector.
    pub fn to(provider: SdkTracerProvider) -> Self {
        Self(Some((provider.tracer(SCOPE), provider)))
    }

    /// The trace of a genuine request: that of its `traceparent`, or a new one.
    pub(crate) fn begin(&self, headers: &HeaderMap, path: &str) -> Trace {
        let given = headers.get(traceparent::TRACEPARENT).and_then(|value| value.to_str().ok());
        let given = given.and_then(traceparent::read);
        match &self.0 {
            None => Trace { traceparent: continued(given.as_ref()), span: None },
            Some((tracer, _)) => Trace::recorded(tracer, given, path),
        }
    }

    /// Sends what is not sent yet, and ends. Blocks; what cannot be sent is given up.
    pub fn shut_down(&self) {
        if let Some((_, provider)) = &self.0 {
            spans::shut_down(provider);
        }
    }
}

/// The trace of one request, and our span in it.
#[derive(Debug)]
pub(crate) struct Trace {
    traceparent: String,
    span: Option<Span>,
}

impl Trace {
    fn recorded(tracer: &SdkTracer, given: Option<SpanContext>, path: &str) -> Self {
        let remote = |given| Context::new().with_remote_span_context(given);
        let parent = given.map(remote).unwrap_or_default();
        let span = tracer
            .span_builder(format!("POST {path}"))
            .with_kind(SpanKind::Server)
            .with_attributes([KeyValue::new("http.route", path.to_owned())])
            .start_with_context(tracer, &parent);
        Self { traceparent: traceparent::write(span.span_context()), span: Some(span) }
    }

    /// What the record carries; to be asked for once.
    pub(crate) fn traceparent(&mut self) -> String {
        std::mem::take(&mut self.traceparent)
    }

    /// Says in the span what the request was about.
    pub(crate) fn about(&mut self, record: &RawRecord) {
        let Some(span) = &mut self.span else { return };
        span.set_attribute(KeyValue::new("bankstream.source", record.value.source.clone()));
        span.set_attribute(KeyValue::new("bankstream.event_id", record.value.event_id.clone()));
    }

    /// Ends the span with the request's answer.
    pub(crate) fn end(self, answer: &Answer) {
        let Some(mut span) = self.span else { return };
        let code = answer.status();
        span.set_attribute(KeyValue::new("http.response.status_code", i64::from(code.as_u16())));
        if code.is_server_error() {
            span.set_status(Status::error(""));
        }
        span.end();
    }
}

/// The trace context for the record: the given trace continued by a span of ours, or a new one. Its ids
/// tell traces apart and keep no secret: asking the system for them would cost two calls a request.
fn continued(given: Option<&SpanContext>) -> String {
    let span = SpanId::from_bytes(fastrand::u64(1..).to_be_bytes());
    let (trace, flags) = match given {
        Some(given) => (given.trace_id(), given.trace_flags()),
        None => (TraceId::from_bytes(fastrand::u128(1..).to_be_bytes()), TraceFlags::SAMPLED),
    };
    traceparent::write(&SpanContext::new(trace, span, flags, false, TraceState::default()))
}

#[cfg(test)]
mod tests;
