//! One connection, from its first byte to its end.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use hyper::Request;
use hyper::body::Incoming;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use warp::Reply as _;
use warp::http::header::{CONNECTION, TRANSFER_ENCODING};
use warp::http::{HeaderValue, Version};
use warp::reply::Response;

use super::crowd::Place;
use super::framing::HEAD_BYTES_MAX;
use super::pulse::{Order, Pulse, Watched};
use super::watch::Watch;
use super::{Limits, Routes};
use crate::answer::Answer;
use crate::metrics::ConnectionMetrics;

/// Requests at once on one HTTP/2 connection: a provider's bursts, with each of them bounded like a
/// connection of its own.
const STREAMS_MAX: u32 = 128;

/// Bytes that one HTTP/2 request, and one connection, may send ahead of our reading.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 512 * 1024;

/// An accepted connection.
#[derive(Debug)]
pub(super) struct Connection {
    pulse: Arc<Pulse>,
    metrics: ConnectionMetrics,
    /// Held while the connection is.
    _place: Place,
}

impl Connection {
    pub(super) fn new(
        limits: &Limits,
        metrics: ConnectionMetrics,
        watch: &Watch,
        place: Place,
    ) -> Self {
        let pulse = Pulse::new(limits.head_timeout, limits.idle_timeout);
        watch.add(&pulse);
        Self { pulse, metrics, _place: place }
    }

    /// Serves it until it ends, misses a deadline, or, once told to leave, has finished what it had
    /// begun.
    pub(super) async fn serve<S>(self, stream: S, routes: Routes)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let stream = TokioIo::new(Watched::new(stream, Arc::clone(&self.pulse)));
        let routes = TowerToHyperService::new(warp::service(routes));
        let (pulse, metrics) = (Arc::clone(&self.pulse), self.metrics.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            let answering = pulse.request();
            let closes = closes(&request);
            let answer = if answering.is_refused() {
                metrics.malformed.inc();
                None
            } else {
                Some(routes.call(request))
            };
            async move {
                let mut response: Response = match answer {
                    Some(answer) => answer.await?,
                    None => Answer::Malformed.into_response().into_response(),
                };
                if closes || response.status() == Answer::Malformed.status() {
                    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                drop(answering);
                Ok::<_, Infallible>(response)
            }
        });
        let server = builder();
        let connection = std::pin::pin!(server.serve_connection(stream, service));
        let ended = until_told(connection, auto::Connection::graceful_shutdown, &self.pulse).await;
        if let Some(Err(error)) = ended {
            tracing::debug!("a connection ended: {error}");
        }
    }
}

/// Runs a connection to its end, or until its watchdog cuts it, which gives `None`.
async fn until_told<C: Future>(
    mut connection: Pin<&mut C>,
    leave: impl Fn(Pin<&mut C>),
    pulse: &Pulse,
) -> Option<C::Output> {
    let (mut is_leaving, mut woken) = (false, None);
    poll_fn(|context| {
        if !woken.as_ref().is_some_and(|waker| context.waker().will_wake(waker)) {
            pulse.wakes(context.waker());
            woken = Some(context.waker().clone());
        }
        loop {
            if let Poll::Ready(ended) = connection.as_mut().poll(context) {
                return Poll::Ready(Some(ended));
            }
            match pulse.order() {
                Order::Cut => return Poll::Ready(None),
                Order::Leave if !is_leaving => {
                    is_leaving = true;
                    leave(connection.as_mut());
                }
                Order::Stay | Order::Leave => return Poll::Pending,
            }
        }
    })
    .await
}

/// Whether a request is the last of its connection. After a body in chunks nothing is believed:
/// where it ended is what proxies and servers are made to disagree about.
fn closes(request: &Request<Incoming>) -> bool {
    request.version() <= Version::HTTP_11 && request.headers().contains_key(TRANSFER_ENCODING)
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // The watchdog times heads, of both versions and before the version is known. The number of
    // header fields stays the library's 100: another limit would cost an allocation per request.
    // A sender may close its side after its request (RFC 9112, 9.6) and still read the answer; behind
    // that the connection ends by itself.
    builder.http1().max_buf_size(HEAD_BYTES_MAX).header_read_timeout(None).half_close(true);
    builder
        .http2()
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX));
    builder
}
