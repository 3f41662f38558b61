//! The sockets: HTTP in, and the tasks that run behind it.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use reqwest::{Client, Url};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use warp::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use warp::http::{HeaderMap, Method, Response};
use warp::path::FullPath;
use warp::{Buf, Filter};

use crate::api::{self, Answer, Params, Refusal, Request};
use crate::control::{self, Day, Outcome};
use crate::ids::{self, Purpose};
use crate::world::Shared;
use crate::{scenario, stripe};

/// Far more than any request here needs; counted while the body streams in.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// What a request may set in motion.
#[derive(Debug)]
pub(super) struct Server {
    pub shared: Arc<Shared>,
    pub client: Client,
    pub tasks: TaskTracker,
    pub stop: CancellationToken,
    pub seed: u64,
    /// The links' origin, if it is not the host that the client asked for.
    pub public_url: Option<String>,
    pub addr: SocketAddr,
    /// Stops the generated day, if one runs.
    pub day: Mutex<CancellationToken>,
}

/// Every request there is: one door, and the routes are tables behind it.
pub(super) fn filter(
    server: Arc<Server>,
) -> impl Filter<Extract = (Response<Vec<u8>>,), Error = warp::Rejection> + Clone {
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    warp::any()
        .map(move || Arc::clone(&server))
        .and(warp::method())
        .and(warp::path::full())
        .and(query)
        .and(warp::header::headers_cloned())
        .and(warp::body::stream())
        .then(
            |server: Arc<Server>, method, path: FullPath, query: String, headers, body| async move {
                let answer = match read(body).await {
                    Ok(body) => {
                        let request = server.request(method, &path, &query, &headers, body);
                        server.answer(request).await
                    }
                    Err(refusal) => refusal.into_answer(),
                };
                respond(answer)
            },
        )
}

async fn read<B: Buf>(
    body: impl Stream<Item = Result<B, warp::Error>>,
) -> Result<Vec<u8>, Refusal> {
    let mut body = pin!(body);
    let mut bytes = Vec::new();
    while let Some(chunk) = body.next().await {
        let mut chunk = chunk.map_err(|_| Refusal::bad_body("The body ended too early."))?;
        if bytes.len() + chunk.remaining() > BODY_BYTES_MAX {
            return Err(Refusal::too_large(BODY_BYTES_MAX));
        }
        while chunk.has_remaining() {
            let part = chunk.chunk();
            bytes.extend_from_slice(part);
            let taken = part.len();
            chunk.advance(taken);
        }
    }
    Ok(bytes)
}

fn respond(answer: Answer) -> Response<Vec<u8>> {
    let mut builder = Response::builder().status(answer.status);
    if let Some(remaining) = answer.remaining {
        builder = builder.header("x-ratelimit-remaining", remaining);
    }
    let body = match answer.body {
        Some(body) => {
            builder = builder.header(CONTENT_TYPE, "application/json");
            body.to_string().into_bytes()
        }
        None => Vec::new(),
    };
    // Every status and header above is valid, so the builder cannot fail.
    builder.body(body).unwrap_or_default()
}

impl Server {
    fn request(
        &self,
        method: Method,
        path: &FullPath,
        query: &str,
        headers: &HeaderMap,
        body: Vec<u8>,
    ) -> Request {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let bearer = text(AUTHORIZATION)
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim().to_owned());
        Request {
            method,
            path: path.as_str().to_owned(),
            params: Params::parse(query),
            bearer,
            body,
            origin: self.origin(text(HOST)),
        }
    }

    /// Where links point: the configured URL, else the host that the client asked for if it is one,
    /// else the address listened on.
    fn origin(&self, host: Option<&str>) -> String {
        if let Some(url) = &self.public_url {
            return url.clone();
        }
        let asked = host.map(|host| format!("http://{host}"));
        let is_origin = |url: &Url| url.path() == "/" && url.query().is_none();
        asked
            .filter(|asked| Url::parse(asked).is_ok_and(|url| is_origin(&url)))
            .unwrap_or_else(|| format!("http://{}", self.addr))
    }

    async fn answer(&self, request: Request) -> Answer {
        if request.path.starts_with(control::ROOT) {
            return match self.shared.with(|world| control::answer(world, &request)) {
                Outcome::Answer(answer) => answer,
                Outcome::Start(day) => self.start(day),
                Outcome::Stop => self.stop_day(),
                Outcome::Stripe(order) => self.send(&order).await,
            };
        }
        let (answer, delay_ms) = self.shared.with(|world| {
            let latest = world.faults.api_latency_ms;
            let delay_ms = if latest == 0 { 0 } else { world.api_luck.u64(0..=latest) };
            (api::answer(world, &request), delay_ms)
        });
        if delay_ms > 0 {
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
        }
        answer
    }

    /// Starts a generated day, unless one runs already.
    pub(super) fn start(&self, day: Day) -> Answer {
        let starts = self.shared.with(|world| {
            let starts = !world.scenario_running;
            world.scenario_running = true;
            starts
        });
        if !starts {
            let body = Some(json!({ "error": "a generated day is running; stop it first" }));
            return Answer { status: 409, body, remaining: None };
        }
        let stop = self.stop.child_token();
        *self.day.lock().unwrap_or_else(PoisonError::into_inner) = stop.clone();
        self.tasks.spawn(scenario::run(Arc::clone(&self.shared), self.seed, day, stop));
        let steps = u64::from(day.rate).saturating_mul(day.seconds);
        Answer::created(json!({ "steps": steps }))
    }

    fn stop_day(&self) -> Answer {
        self.day.lock().unwrap_or_else(PoisonError::into_inner).cancel();
        Answer::no_content()
    }

    async fn send(&self, order: &stripe::Order) -> Answer {
        let now = self.shared.lock().now();
        // Of the time as well as of the seed: a second order sends other events than the first.
        let seed = self.seed.wrapping_add_signed(now);
        match stripe::letters(order, &mut ids::generator(seed, Purpose::Stripe), now) {
            Ok(letters) => Answer::ok(stripe::send(&self.client, order, letters).await),
            Err(error) => {
                let body = Some(json!({ "error": format!("reading `secret`: {error}") }));
                Answer { status: 400, body, remaining: None }
            }
        }
    }
}
