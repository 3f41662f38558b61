//! The trace of a request: W3C `traceparent`, and spans where somebody collects them.
//!
//! Every record carries a trace context, collected or not, so that whoever reads it later can. The
//! span of a webhook begins when it is known to be genuine: what a forger sends makes no spans.

mod export;

use opentelemetry::trace::{
    Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId,
    TraceState, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, Span};
use uuid::Uuid;
use warp::http::HeaderMap;

pub use self::export::{ExportError, Options};
use crate::answer::Answer;
use crate::record::RawRecord;

/// Name of the header in requests and in records.
pub(crate) const TRACEPARENT: &str = "traceparent";

/// Who makes the spans, for the collector.
const SCOPE: &str = "bankstream-ingress";

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
        let given = headers.get(TRACEPARENT).and_then(|value| value.to_str().ok()).and_then(parts);
        match &self.0 {
            None => Trace { traceparent: continued(given.as_ref()), span: None },
            Some((tracer, _)) => Trace::recorded(tracer, given.as_ref(), path),
        }
    }

    /// Sends what is not sent yet, and ends. Blocks; what cannot be sent is given up.
    pub fn shut_down(&self) {
        let Some((_, provider)) = &self.0 else { return };
        if let Err(error) = provider.shutdown_with_timeout(export::SHUTDOWN_TIMEOUT) {
            tracing::warn!("the last spans were not sent: {error}");
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
    fn recorded(tracer: &SdkTracer, given: Option<&Parts<'_>>, path: &str) -> Self {
        let parent = given.map(Parts::context).unwrap_or_default();
        let span = tracer
            .span_builder(format!("POST {path}"))
            .with_kind(SpanKind::Server)
            .with_attributes([KeyValue::new("http.route", path.to_owned())])
            .start_with_context(tracer, &parent);
        let context = span.span_context();
        let (trace, id) = (context.trace_id(), context.span_id());
        let traceparent = format!("00-{trace}-{id}-{:02x}", context.trace_flags().to_u8());
        Self { traceparent, span: Some(span) }
    }

    /// What the record carries.
    pub(crate) fn traceparent(&self) -> String {
        self.traceparent.clone()
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

/// A well-formed `traceparent` of version 0.
struct Parts<'a> {
    trace: &'a str,
    parent: &'a str,
    flags: &'a str,
}

impl Parts<'_> {
    fn context(&self) -> Context {
        let trace = TraceId::from_hex(self.trace).unwrap_or(TraceId::INVALID);
        let parent = SpanId::from_hex(self.parent).unwrap_or(SpanId::INVALID);
        let flags = TraceFlags::new(u8::from_str_radix(self.flags, 16).unwrap_or_default());
        let remote = SpanContext::new(trace, parent, flags, true, TraceState::default());
        Context::new().with_remote_span_context(remote)
    }
}

/// The trace context for the record: the given trace continued by a span of ours, or a new one.
fn continued(given: Option<&Parts<'_>>) -> String {
    let span = Uuid::new_v4().simple().to_string();
    let span = span.get(..16).unwrap_or_default();
    match given {
        Some(Parts { trace, flags, .. }) => format!("00-{trace}-{span}-{flags}"),
        None => format!("00-{}-{span}-01", Uuid::new_v4().simple()),
    }
}

fn parts(text: &str) -> Option<Parts<'_>> {
    let mut fields = text.split('-');
    let (version, trace, parent, flags) =
        (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let is_hex = |field: &str, length: usize| {
        field.len() == length && field.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_id =
        |field: &str, length: usize| is_hex(field, length) && field.bytes().any(|b| b != b'0');
    let valid = version == "00" && is_id(trace, 32) && is_id(parent, 16) && is_hex(flags, 2);
    (valid && fields.next().is_none()).then_some(Parts { trace, parent, flags })
}

#[cfg(test)]
mod tests;
