//! A clock and a bank's server that do what a test says.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use warp::Filter;
use warp::http::{HeaderMap, Method, Response};
use warp::path::FullPath;

use crate::clock::Clock;

#[derive(Clone, Debug)]
pub(crate) struct TestClock(Arc<AtomicI64>);

impl TestClock {
    pub(crate) fn at(now: i64) -> Self {
        Self(Arc::new(AtomicI64::new(now)))
    }
}

impl Clock for TestClock {
    fn now(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// What the server does with one request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Status { status: u16, headers: Vec<(&'static str, String)>, body: String },
    Silence,
}

impl Reply {
    pub(crate) fn ok(body: impl Into<String>) -> Self {
        Self::status(200, body)
    }

    pub(crate) fn status(status: u16, body: impl Into<String>) -> Self {
        Self::Status { status, headers: Vec::new(), body: body.into() }
    }

    pub(crate) fn with(mut self, name: &'static str, value: &(impl ToString + ?Sized)) -> Self {
        if let Self::Status { headers, .. } = &mut self {
            headers.push((name, value.to_string()));
        }
        self
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

#[derive(Debug, Default)]
struct Script {
    replies: VecDeque<Reply>,
    seen: Vec<Seen>,
}

/// A server on the loopback that answers with the script's replies in turn, then with 418.
#[derive(Debug)]
pub(crate) struct BankServer {
    pub(crate) base: String,
    script: Arc<Mutex<Script>>,
    _tasks: JoinSet<()>,
}

impl BankServer {
    pub(crate) async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let script = Arc::new(Mutex::new(Script {
            replies: replies.into_iter().collect(),
            seen: Vec::new(),
        }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let handler = Arc::clone(&script);
        let query =
            warp::query::raw().or_else(|_| async { Ok::<_, warp::Rejection>((String::new(),)) });
        let route = warp::method()
            .and(warp::path::full())
            .and(query)
            .and(warp::header::headers_cloned())
            .and(warp::body::bytes())
            .then(move |method, path: FullPath, query: String, headers, body| {
                let target = match query.as_str() {
                    "" => path.as_str().to_owned(),
                    query => format!("{}?{query}", path.as_str()),
                };
                let reply = take(&handler, Seen { method, target, headers, body });
                answer(reply)
            });
        let mut tasks = JoinSet::new();
        tasks.spawn(warp::serve(route).incoming(listener).run());
        Self { base: format!("http://{address}/api/v1"), script, _tasks: tasks }
    }

    /// Adds a reply, for bodies that need the server's address.
    pub(crate) fn then(&self, reply: Reply) {
        self.script.lock().unwrap().replies.push_back(reply);
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.script.lock().unwrap().seen.clone()
    }
}

fn take(script: &Mutex<Script>, seen: Seen) -> Reply {
    let mut script = script.lock().unwrap();
    script.seen.push(seen);
    script.replies.pop_front().unwrap_or_else(|| Reply::status(418, "the script has ended"))
}

async fn answer(reply: Reply) -> Response<String> {
    match reply {
        Reply::Status { status, headers, body } => {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            response.body(body).unwrap()
        }
        Reply::Silence => {
            tokio::time::sleep(Duration::from_hours(1)).await;
            Response::new(String::new())
        }
    }
}
