//! `/livez`, `/readyz`, `/metrics`.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

use tokio_util::sync::CancellationToken;
use warp::{Filter, http::StatusCode, reply};

use crate::{clock::Clock, metrics::Metrics, record::Timestamp};

/// After which silence a stream thread counts as stuck. A paused, rate-limited or waiting partition
/// does not stop the thread from looping, so none of them restarts the process.
const STUCK_AFTER_MS: i64 = 60_000;

/// What the stream thread tells about itself.
#[derive(Debug, Default)]
pub(super) struct State {
    heartbeat: AtomicI64,
    is_ready: AtomicBool,
    is_stopping: AtomicBool,
    is_held: AtomicBool,
}

impl State {
    pub(super) fn beat(&self, now: Timestamp, is_ready: bool) {
        self.heartbeat.store(now, Ordering::Relaxed);
        self.is_ready.store(is_ready, Ordering::Relaxed);
    }

    pub(super) fn stop(&self) {
        self.is_ready.store(false, Ordering::Relaxed);
        self.is_stopping.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }

    /// An operator's wish: begin nothing new.
    pub(super) fn hold(&self, is_held: bool) {
        self.is_held.store(is_held, Ordering::Relaxed);
    }

    pub(super) fn is_held(&self) -> bool {
        self.is_held.load(Ordering::Relaxed)
    }

    fn is_alive(&self, now: Timestamp) -> bool {
        now.saturating_sub(self.heartbeat.load(Ordering::Relaxed)) < STUCK_AFTER_MS
    }
}

/// Serves until cancelled; the bound address comes back at once.
pub(super) async fn serve(
    listen: SocketAddr,
    state: Arc<State>,
    metrics: Metrics,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) -> std::io::Result<(SocketAddr, impl Future<Output = ()>)> {
    let listener = tokio::net::TcpListener::bind(listen).await?;
    let addr = listener.local_addr()?;
    let live_state = Arc::clone(&state);
    let livez = warp::path!("livez").map(move || {
        answer(live_state.is_alive(clock.now()), "alive", "the stream thread has stopped looping")
    });
    let readyz = warp::path!("readyz").map(move || {
        let is_ready = state.is_ready.load(Ordering::Relaxed);
        answer(is_ready, "ready", "joining the group or restoring state")
    });
    let scrape = warp::path!("metrics").and_then(move || {
        let text = metrics.render();
        async move {
            Ok::<_, Infallible>(match text {
                Ok(text) => reply::with_status(text, StatusCode::OK),
                Err(error) => {
                    reply::with_status(error.to_string(), StatusCode::INTERNAL_SERVER_ERROR)
                }
            })
        }
    });
    let routes = warp::get().and(livez.or(readyz).or(scrape));
    let served = warp::serve(routes)
        .incoming(listener)
        .graceful(async move { stop.cancelled().await })
        .run();
    Ok((addr, served))
}

fn answer(is_ok: bool, yes: &'static str, no: &'static str) -> reply::WithStatus<&'static str> {
    if is_ok {
        reply::with_status(yes, StatusCode::OK)
    } else {
        reply::with_status(no, StatusCode::SERVICE_UNAVAILABLE)
    }
}
