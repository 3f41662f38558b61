//! A Mastodon server on this machine: as much of it as a post needs.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
};
use warp::{
    Filter as _,
    http::{HeaderMap, Response},
};

/// What the server does with a request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Play {
    /// Answers with this status; nothing is posted.
    Refuse(u16),
    /// Posts, and loses the answer.
    PostSilently,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) headers: HeaderMap,
    pub(super) body: serde_json::Value,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).expect(name).to_str().expect("text")
    }
}

#[derive(Debug, Default)]
struct State {
    plays: VecDeque<Play>,
    requests: Vec<Request>,
    /// Idempotency keys of the statuses that exist.
    statuses: Vec<String>,
}

/// Follows its plays, then posts; knows every idempotency key it has seen.
#[derive(Debug)]
pub(super) struct Server {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    runtime: Option<Runtime>,
}

impl Server {
    pub(super) fn playing(plays: &[Play]) -> Self {
        let runtime =
            Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("bound");
        let address = listener.local_addr().expect("address");
        let plays = plays.iter().copied().collect();
        let state = Arc::new(Mutex::new(State { plays, ..State::default() }));
        let shared = Arc::clone(&state);
        let route = warp::post()
            .and(warp::path!("api" / "v1" / "statuses"))
            .and(warp::header::headers_cloned())
            .and(warp::body::json())
            .map(move |headers, body| {
                shared.lock().expect("lock").answer(Request { headers, body })
            });
        runtime.spawn(warp::serve(route).incoming(listener).run());
        Self { address, state, runtime: Some(runtime) }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn requests(&self) -> Vec<Request> {
        self.state.lock().expect("lock").requests.clone()
    }

    /// How many statuses are public.
    pub(super) fn statuses(&self) -> usize {
        self.state.lock().expect("lock").statuses.len()
    }
}

impl State {
    fn answer(&mut self, request: Request) -> Response<String> {
        let key = request.header("idempotency-key").to_owned();
        self.requests.push(request);
        let play = self.plays.pop_front();
        if let Some(Play::Refuse(status)) = play {
            return Response::builder()
                .status(status)
                .header("retry-after", "3")
                .body(r#"{"error":"Validation failed: Text is odd"}"#.to_owned())
                .expect("response");
        }
        let known = self.statuses.iter().position(|known| *known == key);
        let id = known.unwrap_or_else(|| {
            self.statuses.push(key);
            self.statuses.len() - 1
        });
        let (status, body) = match play {
            Some(_) => (502, String::new()),
            None => (200, format!(r#"{{"id":"{id}","url":"https://m.example/@a/{id}"}}"#)),
        };
        Response::builder().status(status).body(body).expect("response")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
