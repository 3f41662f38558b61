use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use apache_avro::{AvroSchema, Schema};
use serde::{Deserialize, Serialize};

use super::*;
use crate::testing::TestDriver;
use crate::{Context as StreamContext, Effects, Fault, Headers, Processor, Record, Sink, Topology};

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Text {
    text: String,
}

impl AvroSchema for Text {
    fn get_schema() -> Schema {
        let schema =
            r#"{"type":"record","name":"Text","fields":[{"name":"text","type":"string"}]}"#;
        Schema::parse_str(schema).unwrap()
    }
}

struct Pass(Sink<String, Text>);

impl Processor for Pass {
    type Key = String;
    type Value = Text;
    type Error = Fault;

    fn process(
        &mut self,
        ctx: &mut StreamContext<'_>,
        record: &Record<String, Text>,
    ) -> Result<(), Fault> {
        ctx.forward(&self.0, &record.key, &record.value)
    }
}

/// `in` to `between` to `out`.
fn two_processors() -> TestDriver {
    let mut builder = Topology::builder("traced");
    for (name, from, to) in [("first", "in", "between"), ("second", "between", "out")] {
        let mut sub = builder.sub_topology(name, Effects::None);
        let source = sub.source(from, from);
        let out = sub.sink(to, to);
        let sink = out.clone();
        sub.processor(name, &source, move || Pass(sink.clone())).sinks([out.id()]);
    }
    TestDriver::new(builder.build().unwrap()).unwrap()
}

/// A collector that takes one batch.
fn collect(listener: &TcpListener) -> Vec<u8> {
    let (mut stream, _) = listener.accept().unwrap();
    let mut request = Vec::new();
    let is_whole = |request: &[u8]| {
        let end = request.windows(4).position(|it| it == b"\r\n\r\n")? + 4;
        let head = String::from_utf8_lossy(&request[..end]).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
        Some(request.len() >= end + length.parse::<usize>().ok()?)
    };
    while is_whole(&request) != Some(true) {
        let mut chunk = [0; 4096];
        let count = stream.read(&mut chunk).unwrap();
        assert_ne!(count, 0, "the request ended before its end");
        request.extend_from_slice(&chunk[..count]);
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
    request
}

fn count(haystack: &[u8], needle: &[u8]) -> usize {
    haystack.windows(needle.len()).filter(|window| *window == needle).count()
}

#[test]
fn every_processor_continues_the_trace_of_the_record_s_headers() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    start(&endpoint, "the-application", runtime.handle()).unwrap();

    let mut driver = two_processors();
    let text = Text { text: "without a trace".to_owned() };
    driver.pipe("in", &"k".to_owned(), &text).unwrap();
    let value = driver.records("in")[0].value.clone();
    let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let mut headers = Headers::new();
    headers.push(TRACEPARENT, format!("00-{trace}-{span}-01"));
    driver.pipe_bytes("in", Some("k".into()), value, headers);
    let poisoned = "11112222333344445555666677778888";
    let mut headers = Headers::new();
    headers.push(TRACEPARENT, format!("00-{poisoned}-{span}-01"));
    driver.pipe_bytes("in", Some("k".into()), Some("no frame".into()), headers);
    assert_eq!(driver.records("out").len(), 2);

    let flushed = std::thread::spawn(stop);
    let batch = collect(&listener);
    flushed.join().unwrap();
    assert!(batch.starts_with(b"POST /v1/traces HTTP/1.1\r\n"));
    let bytes = |hex: &str| u128::from_str_radix(hex, 16).unwrap().to_be_bytes();
    assert_eq!(count(&batch, &bytes(trace)), 2, "one span a processor, none without a trace");
    assert_eq!(count(&batch, &bytes(poisoned)), 1, "a dead letter was handled too");
    assert_eq!(count(&batch, &bytes(span)[8..]), 3, "each is a child of the record's span");
    for text in ["first in", "second between", "the-application"] {
        assert!(count(&batch, text.as_bytes()) > 0, "{text} is not in the batch");
    }
}
