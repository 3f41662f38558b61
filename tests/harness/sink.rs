//! A receiver of effects: a coin hook and a Mastodon server in one, which remember every call.
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use tokio::task::JoinSet;
use warp::Filter as _;

/// One request that asked for an effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Its path.
    pub path: String,
    /// Its idempotency key.
    pub key: String,
    /// Its body.
    pub body: Value,
}

/// A server on a free port that answers 200 to every effect.
#[derive(Debug)]
pub struct Sink {
    address: SocketAddr,
    calls: Arc<Mutex<Vec<Call>>>,
    /// Aborted when dropped.
    _server: JoinSet<()>,
}

impl Sink {
    /// Starts it.
    pub async fn start() -> anyhow::Result<Self> {
        let calls: Arc<Mutex<Vec<Call>>> = Arc::default();
        let kept = Arc::clone(&calls);
        let routes = warp::post()
            .and(warp::path::full())
            .and(warp::header::<String>("idempotency-key"))
            .and(warp::body::json())
            .map(move |path: warp::path::FullPath, key: String, body: Value| {
                let path = path.as_str().to_owned();
                // A network gives the same status for the same key.
                let answer = json!({ "id": key, "url": format!("https://social.example/{key}") });
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(Call { path, key, body });
                warp::reply::json(&answer)
            });
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let served = warp::serve(routes).incoming(listener).run();
        let mut server = JoinSet::new();
        server.spawn(served);
        Ok(Self { address, calls, _server: server })
    }

    /// `http://address` and a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The idempotency keys that were used for each effect below `path`; `subject` names the effect of
    /// a body. One effect with two keys is two effects.
    pub fn keys(
        &self,
        path: &str,
        subject: impl Fn(&Value) -> String,
    ) -> BTreeMap<String, BTreeSet<String>> {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let mut keys: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for call in calls.iter().filter(|call| call.path.starts_with(path)) {
            keys.entry(subject(&call.body)).or_default().insert(call.key.clone());
        }
        keys
    }
}
