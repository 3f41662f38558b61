//! One trace leads from a request to what came of it.
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use ctl::pipeline::Bank;
use harness::{Doors, Provider, Webhook, committed, read_all, wait_for, wait_until};
use reqwest::StatusCode;
use schemas::topics::{TRANSACTIONS_ENRICHED, WEBHOOKS_RECEIVED};
use serde_json::json;
use tokio::task::JoinSet;
use warp::Filter as _;

const SECRET: &str = "secret-of-a-test";
const APP: &str = "transaction-enricher";
const DEADLINE: Duration = Duration::from_mins(1);

/// A span as a collector is told it; ids in lower-case hex.
#[derive(Debug)]
struct Span {
    service: String,
    name: String,
    trace: String,
    id: String,
    parent: String,
}

/// A collector of spans, OTLP over HTTP.
struct Collector {
    url: String,
    batches: Arc<Mutex<Vec<Vec<u8>>>>,
    /// Aborted when dropped.
    _server: JoinSet<()>,
}

impl Collector {
    async fn start() -> anyhow::Result<Self> {
        let batches: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let kept = Arc::clone(&batches);
        let routes = warp::post()
            .and(warp::path!("v1" / "traces"))
            .and(warp::header::exact("content-type", "application/x-protobuf"))
            .and(warp::body::bytes())
            .map(move |batch: bytes::Bytes| {
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(batch.to_vec());
                ""
            });
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let mut server = JoinSet::new();
        server.spawn(warp::serve(routes).incoming(listener).run());
        Ok(Self { url, batches, _server: server })
    }

    fn spans(&self) -> anyhow::Result<Vec<Span>> {
        let batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        let spans: anyhow::Result<Vec<_>> = batches.iter().map(|batch| spans(batch)).collect();
        Ok(spans?.into_iter().flatten().collect())
    }
}

/// The spans of an `ExportTraceServiceRequest` (opentelemetry-proto).
fn spans(batch: &[u8]) -> anyhow::Result<Vec<Span>> {
    let mut spans = Vec::new();
    for of_resource in fields(batch, 1)? {
        let service = service(of_resource)?;
        for of_scope in fields(of_resource, 2)? {
            for span in fields(of_scope, 2)? {
                let field = |number| Ok::<_, anyhow::Error>(fields(span, number)?.concat());
                spans.push(Span {
                    service: service.clone(),
                    name: String::from_utf8(field(5)?)?,
                    trace: hex(field(1)?),
                    id: hex(field(2)?),
                    parent: hex(field(4)?),
                });
            }
        }
    }
    Ok(spans)
}

fn hex(bytes: Vec<u8>) -> String {
    let digits = bytes.into_iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

/// The attribute `service.name` of `ResourceSpans`.
fn service(of_resource: &[u8]) -> anyhow::Result<String> {
    for resource in fields(of_resource, 1)? {
        for attribute in fields(resource, 1)? {
            if fields(attribute, 1)? == [b"service.name"] {
                let value = fields(attribute, 2)?.concat();
                return Ok(String::from_utf8(fields(&value, 1)?.concat())?);
            }
        }
    }
    bail!("a batch of no service")
}

/// The values of a message's fields of this number, of those that are bytes, texts or messages.
fn fields(mut message: &[u8], number: u64) -> anyhow::Result<Vec<&[u8]>> {
    let mut found = Vec::new();
    while !message.is_empty() {
        let tag = varint(&mut message)?;
        let length = match tag & 7 {
            0 => varint(&mut message).map(|_| 0)?,
            1 => 8,
            2 => usize::try_from(varint(&mut message)?)?,
            5 => 4,
            other => bail!("no wire type: {other}"),
        };
        let (value, rest) = message.split_at_checked(length).context("a message is cut")?;
        if tag == number << 3 | 2 {
            found.push(value);
        }
        message = rest;
    }
    Ok(found)
}

fn varint(bytes: &mut &[u8]) -> anyhow::Result<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first().context("a number is cut")?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Ok(value);
        }
    }
    bail!("a number without end")
}

#[tokio::test]
async fn one_trace_leads_from_a_request_to_the_processor_of_its_record() -> anyhow::Result<()> {
    let collector = Collector::start().await?;
    let flags = ["--otlp-endpoint", collector.url.as_str()];
    let mut doors = Doors::open("traces", 1, SECRET, &flags).await?;
    doors.start().await?;
    let servers = doors.platform.bootstrap_servers().to_owned();
    let layout = &doors.replicas[0].layout;
    let mut sandbox = layout.sandbox(&["--seed", "7"])?;
    sandbox.start().await?;
    let bank = Bank::new(&sandbox.url(""))?;
    let env = [("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), collector.url.clone())];
    let mut enricher = layout.processor(APP, "1", &bank, &[], &env)?;
    enricher.start().await?;

    let account = bank.truth().await?.accounts.first().context("no account")?.id.clone();
    let order = json!({
        "account": account, "amount": -100, "description": "Lighthouse Books", "course": "lost",
    });
    let webhook = Webhook::created(&bank.record(&order).await?);
    let provider = Provider::new(doors.urls(), SECRET)?;
    let reply = provider.post(&doors.urls()[0], &webhook).await?;
    assert_eq!(reply.status, StatusCode::OK);
    let of_webhook = async |topic: &str| {
        let id = webhook.id.as_bytes();
        let is_of = |value: &[u8]| value.windows(id.len()).any(|bytes| bytes == id);
        let mut records = read_all(&servers, topic).await?.into_iter();
        anyhow::Ok(records.find(|record| record.value.as_deref().is_some_and(is_of)))
    };
    let raw = of_webhook(WEBHOOKS_RECEIVED).await?.context("no raw record")?;
    let derived =
        wait_for("the derived record", DEADLINE, async || of_webhook(TRANSACTIONS_ENRICHED).await)
            .await?;
    wait_until("the commit of the raw record", DEADLINE, async || {
        let next = committed(&servers, APP, WEBHOOKS_RECEIVED, raw.partition).await?;
        Ok(next.is_some_and(|next| next > raw.offset))
    })
    .await?;
    assert_eq!(read_all(&servers, "transaction-enricher-dlq").await?, []);
    // each sends its last spans when it ends
    enricher.terminate().await?;
    doors.replicas[0].service.terminate().await?;

    let all = collector.spans()?;
    let of = |service: &str| {
        let spans: Vec<_> = all.iter().filter(|span| span.service == service).collect();
        let [span] = spans.as_slice() else { panic!("one span of {service} in {all:#?}") };
        *span
    };
    let (request, handled) = (of("bankstream-ingress"), of(APP));
    assert_eq!((request.name.as_str(), request.parent.as_str()), ("POST /webhooks/up", ""));
    assert!(handled.name.ends_with(WEBHOOKS_RECEIVED), "{handled:?}");
    assert_eq!((&handled.trace, &handled.parent), (&request.trace, &request.id));
    // and whoever reads the derived record goes on
    let carried = derived.headers.get("traceparent").context("no trace")?;
    let expect = format!("00-{}-{}-01", request.trace, request.id);
    assert_eq!(String::from_utf8_lossy(carried), expect);
    sandbox.terminate().await?;
    doors.stop().await
}
