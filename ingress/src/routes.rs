//! Which request goes where.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use futures_util::Stream;
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::http::{HeaderMap, Method, Response, StatusCode};
use warp::path::FullPath;

use crate::answer::Answer;
use crate::publish::Publisher;
use crate::receive::{Head, Ingress, receive};

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All routes, for connections from `peer`. One filter looks at method and path itself: a path that nobody declared costs no
/// attempt at every other filter.
pub fn routes<P: Publisher>(
    ingress: Arc<Ingress<P>>,
    peer: IpAddr,
) -> BoxedFilter<(Response<Bytes>,)> {
    warp::method()
        .and(warp::path::full())
        .and(warp::header::headers_cloned())
        .and(warp::body::stream())
        .then(move |method: Method, path: FullPath, headers: HeaderMap, body| {
            let ingress = Arc::clone(&ingress);
            async move {
                let head = Head { peer, method, headers };
                answer(&ingress, &head, path.as_str(), body).await
            }
        })
        .map(Answer::into_response)
        .boxed()
}

async fn answer<P, S, B, E>(ingress: &Ingress<P>, head: &Head, path: &str, body: S) -> Answer
where
    P: Publisher,
    S: Stream<Item = Result<B, E>>,
    B: Buf,
{
    let report = match path {
        "/livez" => livez,
        "/health" => health::<P>,
        "/events" if ingress.recent.is_on() => events::<P>,
        "/readyz" => readyz::<P>,
        "/metrics" => metrics::<P>,
        _ => return guarded(ingress, head, path, body).await,
    };
    if head.method != Method::GET && head.method != Method::HEAD {
        return Answer::MethodNotAllowed("GET, HEAD");
    }
    report(ingress, &head.headers)
}

/// Whatever may come from anywhere passes the gate first.
async fn guarded<P, S, B, E>(ingress: &Ingress<P>, head: &Head, path: &str, body: S) -> Answer
where
    P: Publisher,
    S: Stream<Item = Result<B, E>>,
    B: Buf,
{
    let door = ingress.doors.iter().find(|door| door.source.path == path);
    let sender = match ingress.gate.enter(head.peer, &head.headers, door) {
        Ok(sender) => sender,
        Err(answer) => return answer,
    };
    let answer = match door {
        None => {
            ingress.metrics.unknown_paths.inc();
            Answer::NotFound
        }
        Some(_) if head.method != Method::POST => Answer::MethodNotAllowed("POST"),
        Some(door) => receive(ingress, door, head, body).await,
    };
    ingress.gate.answered(sender, &answer);
    answer
}

/// Alive while it answers: what it waits for is no reason to be restarted.
fn livez<P>(_: &Ingress<P>, _: &HeaderMap) -> Answer {
    Answer::Report(StatusCode::OK, TEXT, "ok\n".to_owned())
}

/// The same as `/readyz`, for machines that read JSON.
fn health<P>(ingress: &Ingress<P>, _: &HeaderMap) -> Answer {
    let (code, status) = match ingress.readiness.report() {
        None => (StatusCode::OK, "ready"),
        Some(_) => (StatusCode::SERVICE_UNAVAILABLE, "waiting"),
    };
    let ids = ingress.metrics.dedupe.ids.get();
    Answer::Report(code, JSON, format!(r#"{{"status":"{status}","ids":{ids}}}"#))
}

fn events<P>(ingress: &Ingress<P>, headers: &HeaderMap) -> Answer {
    match ingress.recent.json(headers) {
        None => Answer::Unauthorized,
        Some(Ok(text)) => Answer::Report(StatusCode::OK, JSON, text),
        Some(Err(error)) => {
            let text = format!("cannot write the events: {error}\n");
            Answer::Report(StatusCode::INTERNAL_SERVER_ERROR, TEXT, text)
        }
    }
}

fn readyz<P>(ingress: &Ingress<P>, _: &HeaderMap) -> Answer {
    match ingress.readiness.report() {
        None => Answer::Report(StatusCode::OK, TEXT, "ready\n".to_owned()),
        Some(what) => {
            let text = format!("waiting for {what}\n");
            Answer::Report(StatusCode::SERVICE_UNAVAILABLE, TEXT, text)
        }
    }
}

fn metrics<P>(ingress: &Ingress<P>, _: &HeaderMap) -> Answer {
    match ingress.metrics.text() {
        Ok(text) => Answer::Report(StatusCode::OK, PROMETHEUS, text),
        Err(error) => {
            let text = format!("cannot gather the metrics: {error}\n");
            Answer::Report(StatusCode::INTERNAL_SERVER_ERROR, TEXT, text)
        }
    }
}

#[cfg(test)]
mod tests;
