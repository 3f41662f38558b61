//! A receiver of hooks on this machine.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
};
use warp::{Filter as _, http::HeaderMap};

/// A request as it came.
#[derive(Clone, Debug)]
pub(super) struct Received {
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Received {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).expect(name).to_str().expect("text")
    }
}

/// Answers with the given statuses, then with 200.
#[derive(Debug)]
pub(super) struct Receiver {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    runtime: Option<Runtime>,
}

impl Receiver {
    pub(super) fn answering(statuses: &[u16]) -> Self {
        let runtime =
            Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("bound");
        let address = listener.local_addr().expect("address");
        let received = Arc::new(Mutex::new(Vec::new()));
        let statuses: VecDeque<u16> = statuses.iter().copied().collect();
        let statuses = Arc::new(Mutex::new(statuses));
        let requests = Arc::clone(&received);
        let route = warp::post()
            .and(warp::path!("hook"))
            .and(warp::header::headers_cloned())
            .and(warp::body::bytes())
            .map(move |headers: HeaderMap, body: bytes::Bytes| {
                requests.lock().expect("lock").push(Received { headers, body: body.to_vec() });
                let status = statuses.lock().expect("lock").pop_front().unwrap_or(200);
                warp::http::Response::builder()
                    .status(status)
                    .header("location", "/elsewhere")
                    .header("retry-after", "3")
                    .body("")
            });
        runtime.spawn(warp::serve(route).incoming(listener).run());
        Self { address, received, runtime: Some(runtime) }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    pub(super) fn received(&self) -> Vec<Received> {
        self.received.lock().expect("lock").clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
