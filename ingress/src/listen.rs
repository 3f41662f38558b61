//! Takes connections and hands them to the routes: how many there may be, how long they may keep us
//! waiting, and which shapes of a request's head are refused before anybody reads it.

mod connection;
mod crowd;
mod framing;
mod pulse;
pub mod tls;
mod watch;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use warp::filters::BoxedFilter;
use warp::http::Response;

use self::connection::Connection;
use self::crowd::{Crowd, Place};
use self::tls::Tls;
use self::watch::Watch;
use crate::address::Network;
use crate::config::{number, span};
use crate::metrics::ConnectionMetrics;

/// Pause after a connection could not be taken: the process is out of file descriptors, and asking
/// again at once would only burn the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The routes of the ingress.
pub type Routes = BoxedFilter<(Response<Bytes>,)>;

/// What bounds connections.
#[derive(Clone, Debug, clap::Args)]
#[group(id = "connections")]
pub struct Limits {
    /// Connections open at once; one more is closed unanswered.
    #[arg(long, env = "INGRESS_CONNECTIONS_MAX", default_value_t = 4096, value_parser = number::<usize>)]
    pub connections_max: usize,
    /// Connections open at once from one address (IPv6: from one /64); no limit for this machine
    /// and for proxies that are named.
    #[arg(long, env = "INGRESS_CONNECTIONS_PER_ADDRESS_MAX", default_value_t = 1024, value_parser = number::<usize>)]
    pub connections_per_address_max: usize,
    /// How long a connection may take to send a request's head, from its first byte, and a new
    /// connection to send its first.
    #[arg(long, env = "INGRESS_HEAD_TIMEOUT", default_value = "10s", value_parser = span)]
    pub head_timeout: Duration,
    /// How long a connection may stay open between two requests. Longer than what proxies use,
    /// usually 60 s, so that they do not send into a connection that is being closed.
    #[arg(long, env = "INGRESS_IDLE_TIMEOUT", default_value = "75s", value_parser = span)]
    pub idle_timeout: Duration,
}

/// On which terms connections are taken.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Bounds of them.
    pub limits: Limits,
    /// Proxies, whose one address is many senders.
    pub proxies: Vec<Network>,
    /// TLS; plain HTTP without it.
    pub tls: Option<Arc<Tls>>,
    /// What is counted.
    pub metrics: ConnectionMetrics,
}

/// Serves every connection of `listener`, with the `routes` for its address, until `stop`; then
/// takes no more, lets each finish the requests it has begun and ends when all have.
pub async fn serve(
    listener: TcpListener,
    routes: impl Fn(IpAddr) -> Routes,
    terms: Terms,
    stop: CancellationToken,
) {
    let watch = Arc::new(Watch::new(&terms.limits, terms.metrics.clone()));
    let serving = take(listener, routes, terms, Arc::clone(&watch), &stop);
    tokio::select! {
        () = serving => {}
        () = watch.run(&stop) => {}
    }
}

async fn take(
    listener: TcpListener,
    routes: impl Fn(IpAddr) -> Routes,
    terms: Terms,
    watch: Arc<Watch>,
    stop: &CancellationToken,
) {
    let connections = TaskTracker::new();
    let Terms { limits, proxies, tls, metrics } = terms;
    let crowd = Arc::new(Crowd::new(&limits, proxies, metrics.clone()));
    let arrival = Arc::new(Arrival { limits, tls, watch, metrics: metrics.clone() });
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                // Too many: closed by being dropped. An answer would cost more than the refusal saves.
                let Some(place) = crowd.enter(peer.ip()) else { continue };
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!("a connection was gone before it was served: {error}");
                    continue;
                }
                let arrival = Arc::clone(&arrival);
                connections.spawn(arrival.attend(stream, place, routes(peer.ip()), stop.clone()));
            }
            Err(error) => {
                metrics.accept_failures.inc();
                tracing::debug!("taking a connection: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// What every connection begins with.
struct Arrival {
    limits: Limits,
    tls: Option<Arc<Tls>>,
    watch: Arc<Watch>,
    metrics: ConnectionMetrics,
}

impl Arrival {
    /// Serves one connection, behind its handshake if there is one to be made.
    async fn attend(
        self: Arc<Self>,
        stream: TcpStream,
        place: Place,
        routes: Routes,
        stop: CancellationToken,
    ) {
        let connection =
            |place| Connection::new(&self.limits, self.metrics.clone(), &self.watch, place);
        match &self.tls {
            None => connection(place).serve(stream, routes).await,
            Some(tls) => {
                if let Some(stream) = tls.handshake(stream, &stop).await {
                    connection(place).serve(stream, routes).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
