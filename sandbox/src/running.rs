//! Starting and stopping a sandbox, in a program of its own or inside a test.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::bank;
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::control::Day;
use crate::dispatch::courier;
use crate::opening::furnish;
use crate::server::{Server, filter};
use crate::world::{Shared, World};

/// Why a sandbox does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken or not ours.
    #[error("listening on {addr}: {source}; choose another address with --listen, or port 0")]
    Listen {
        /// The address asked for.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The HTTP client of the dispatcher.
    #[error("building the dispatcher's http client: {0}")]
    Client(#[from] reqwest::Error),
    /// The first accounts.
    #[error("opening the first accounts: {0}")]
    Opening(#[from] bank::Error),
}

/// A running sandbox. It stops when it is dropped; [`Sandbox::stop`] also waits for its end.
#[derive(Debug)]
pub struct Sandbox {
    addr: SocketAddr,
    tasks: TaskTracker,
    stop: DropGuard,
}

impl Sandbox {
    /// Starts a sandbox on the machine's clock.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        Self::start_at(config, Arc::new(SystemClock)).await
    }

    /// Starts a sandbox on another clock. Waits (latency, retries) still take real time.
    pub async fn start_at(config: Config, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        let addr = config.listen;
        let listener = TcpListener::bind(addr).await;
        let listener = listener.map_err(|source| StartError::Listen { addr, source })?;
        let addr = listener.local_addr().map_err(|source| StartError::Listen { addr, source })?;
        let origin = config.public_url.clone().unwrap_or_else(|| format!("http://{addr}"));

        let mut world = World::new(&config, &origin, clock);
        let now = world.now();
        furnish(&mut world.bank, config.seed, config.accounts, config.history, now)?;

        let stop = CancellationToken::new();
        let server = Arc::new(Server {
            shared: Arc::new(Shared::new(world)),
            client: courier::client(Duration::from_millis(config.delivery_timeout_ms))?,
            tasks: TaskTracker::new(),
            day: Mutex::new(stop.child_token()),
            stop: stop.clone(),
            seed: config.seed,
            public_url: config.public_url,
            addr,
        });
        let tasks = server.tasks.clone();
        let dispatcher =
            courier::run(Arc::clone(&server.shared), server.client.clone(), stop.clone());
        tasks.spawn(dispatcher);
        if config.rate > 0 {
            server.start(Day { rate: config.rate, seconds: config.duration });
        }
        let graceful = stop.clone().cancelled_owned();
        tasks.spawn(warp::serve(filter(server)).incoming(listener).graceful(graceful).run());
        tracing::info!(%addr, "listening on {addr}");
        Ok(Self { addr, tasks, stop: stop.drop_guard() })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Stops it: requests in progress are answered, deliveries in flight are abandoned.
    pub async fn stop(self) {
        drop(self.stop);
        self.tasks.close();
        self.tasks.wait().await;
    }
}

#[cfg(test)]
mod tests;
