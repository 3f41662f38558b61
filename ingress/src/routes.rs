//! Which request goes where.

use std::sync::Arc;

use bytes::{Buf, Bytes};
use futures_util::Stream;
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::http::{HeaderMap, Method, Response, StatusCode};
use warp::path::FullPath;

use crate::answer::Answer;
use crate::publish::Publisher;
use crate::receive::{Ingress, receive};

const TEXT: &str = "text/plain; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All routes. One filter looks at method and path itself: a path that nobody declared costs no
/// attempt at every other filter.
pub fn routes<P: Publisher>(ingress: Arc<Ingress<P>>) -> BoxedFilter<(Response<Bytes>,)> {
    warp::method()
        .and(warp::path::full())
        .and(warp::header::headers_cloned())
        .and(warp::body::stream())
        .then(move |method: Method, path: FullPath, headers: HeaderMap, body| {
            let ingress = Arc::clone(&ingress);
            async move { answer(&ingress, &method, path.as_str(), &headers, body).await }
        })
        .map(Answer::into_response)
        .boxed()
}

async fn answer<P, S, B, E>(
    ingress: &Ingress<P>,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
    body: S,
) -> Answer
where
    P: Publisher,
    S: Stream<Item = Result<B, E>>,
    B: Buf,
{
    if let Some(door) = ingress.doors.iter().find(|door| door.source.path == path) {
        if *method != Method::POST {
            return Answer::MethodNotAllowed("POST");
        }
        return receive(ingress, door, headers, body).await;
    }
    let report = match path {
        "/livez" => livez,
        "/readyz" => readyz::<P>,
        "/metrics" => metrics::<P>,
        _ => {
            ingress.metrics.unknown_paths.inc();
            return Answer::NotFound;
        }
    };
    if *method != Method::GET && *method != Method::HEAD {
        return Answer::MethodNotAllowed("GET, HEAD");
    }
    report(ingress)
}

/// Alive while it answers: what it waits for is no reason to be restarted.
fn livez<P>(_: &Ingress<P>) -> Answer {
    Answer::Report(StatusCode::OK, TEXT, "ok\n".to_owned())
}

fn readyz<P>(ingress: &Ingress<P>) -> Answer {
    match ingress.readiness.missing() {
        None => Answer::Report(StatusCode::OK, TEXT, "ready\n".to_owned()),
        Some(what) => {
            let text = format!("waiting for {what}\n");
            Answer::Report(StatusCode::SERVICE_UNAVAILABLE, TEXT, text)
        }
    }
}

fn metrics<P>(ingress: &Ingress<P>) -> Answer {
    match ingress.metrics.text() {
        Ok(text) => Answer::Report(StatusCode::OK, PROMETHEUS, text),
        Err(error) => {
            let text = format!("cannot gather the metrics: {error}\n");
            Answer::Report(StatusCode::INTERNAL_SERVER_ERROR, TEXT, text)
        }
    }
}
