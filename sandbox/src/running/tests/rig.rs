//! A sandbox with its client, and a receiver that answers as it is told.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use signatures::{Header, Scheme, Secret, Verifier};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use warp::Filter;
use warp::http::{HeaderMap, Response};

use crate::{Config, Sandbox};

const DEADLINE: Duration = Duration::from_secs(20);
pub(super) const TOKEN: &str = "up:demo:sandbox";

#[derive(Debug, Clone)]
pub(super) struct Received {
    pub(super) headers: Vec<Header>,
    pub(super) body: Vec<u8>,
}

impl Received {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|header| header.name == name).map(|header| header.value.as_str())
    }

    pub(super) fn event(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap();
        body["data"]["id"].as_str().unwrap().to_owned()
    }
}

/// Answers the given statuses in turn, then 200; with a verifier, 401 to what does not verify.
#[derive(Default)]
pub(super) struct Script {
    pub(super) statuses: VecDeque<u16>,
    pub(super) verifier: Option<Verifier>,
    pub(super) received: Vec<Received>,
}

pub(super) struct Receiver {
    pub(super) addr: SocketAddr,
    pub(super) script: Arc<Mutex<Script>>,
    _stop: DropGuard,
}

impl Receiver {
    pub(super) async fn start(statuses: &[u16]) -> Self {
        let script = Script { statuses: statuses.iter().copied().collect(), ..Script::default() };
        let script = Arc::new(Mutex::new(script));
        let inner = Arc::clone(&script);
        let filter = warp::header::headers_cloned()
            .and(warp::body::bytes())
            .map(move |headers: HeaderMap, body: Bytes| answer(&inner, &headers, &body));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let server =
            warp::serve(filter).incoming(listener).graceful(stop.clone().cancelled_owned());
        TaskTracker::new().spawn(server.run());
        Self { addr, script, _stop: stop.drop_guard() }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/webhooks/up", self.addr)
    }

    pub(super) fn received(&self) -> Vec<Received> {
        self.script.lock().unwrap().received.clone()
    }
}

fn answer(script: &Mutex<Script>, headers: &HeaderMap, body: &[u8]) -> Response<String> {
    let mut script = script.lock().unwrap();
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| Header {
            name: name.as_str().to_owned(),
            value: value.to_str().unwrap().to_owned(),
        })
        .collect();
    let forged = script
        .verifier
        .as_ref()
        .is_some_and(|verifier| verifier.verify(&headers, body, 0).is_err());
    script.received.push(Received { headers, body: body.to_vec() });
    let status = if forged { 401 } else { script.statuses.pop_front().unwrap_or(200) };
    Response::builder()
        .status(status)
        .header("location", "/elsewhere")
        .body(format!("answered {status}"))
        .unwrap()
}

pub(super) struct Bank {
    pub(super) sandbox: Sandbox,
    pub(super) client: Client,
}

impl Bank {
    pub(super) async fn start(config: Config) -> Self {
        let sandbox = Sandbox::start(config).await.unwrap();
        Self { sandbox, client: Client::builder().no_proxy().build().unwrap() }
    }

    pub(super) fn quick() -> Config {
        Config { retry_base_ms: 5, retry_cap_ms: 20, retry_attempts: 4, ..Config::default() }
    }

    pub(super) async fn call(&self, method: Method, target: &str, body: Value) -> (u16, Value) {
        let url = if target.starts_with("http") {
            target.to_owned()
        } else {
            format!("http://{}{target}", self.sandbox.addr())
        };
        let request = self.client.request(method, url).bearer_auth(TOKEN);
        let request = if body.is_null() { request } else { request.json(&body) };
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap_or_default())
    }

    pub(super) async fn get(&self, target: &str) -> Value {
        self.call(Method::GET, target, Value::Null).await.1
    }

    pub(super) async fn post(&self, target: &str, body: Value) -> Value {
        let (status, answer) = self.call(Method::POST, target, body).await;
        assert!((200..300).contains(&status), "{target}: {status} {answer}");
        answer
    }

    pub(super) async fn register(&self, url: &str) -> (String, String) {
        let body = json!({ "data": { "attributes": { "url": url, "description": null } } });
        let created = self.post("/api/v1/webhooks", body).await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&created["data"]["id"]), text(&created["data"]["attributes"]["secretKey"]))
    }

    pub(super) async fn purchase(&self, course: &str) -> String {
        let account = self.get("/sandbox/v1/state").await["accounts"][0]["id"].clone();
        let new = json!({ "account": account, "amount": -1_250, "course": course });
        let made = self.post("/sandbox/v1/transactions", new).await;
        made["events"][0]["transaction"].as_str().unwrap().to_owned()
    }

    pub(super) async fn quiet(&self) -> Value {
        let wait = async {
            while self.get("/sandbox/v1/quiesce").await["quiet"] != true {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(DEADLINE, wait).await.expect("deliveries end in time");
        self.get("/sandbox/v1/state").await
    }

    /// Status and code of every log entry of a webhook, oldest first.
    pub(super) async fn log(&self, webhook: &str) -> Vec<(String, Value)> {
        let log = self.get(&format!("/api/v1/webhooks/{webhook}/logs?page[size]=100")).await;
        let entry = |one: &Value| {
            let attributes = &one["attributes"];
            let status = attributes["deliveryStatus"].as_str().unwrap().to_owned();
            (status, attributes["response"]["statusCode"].clone())
        };
        log["data"].as_array().unwrap().iter().rev().map(entry).collect()
    }
}

pub(super) fn verifier(secret: &str) -> Verifier {
    let key = ("hook".into(), Secret::new(secret).unwrap());
    Verifier::new(Scheme::up(), vec![key]).unwrap()
}
