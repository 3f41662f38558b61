//! The application's HTTP server: `/livez`, `/readyz`, `/metrics`, its stores, and pausing.

use std::{
    collections::HashMap,
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

use tokio_util::sync::CancellationToken;
use warp::{Filter, Reply, http::StatusCode, reply, reply::Response};

use super::queries::{Asking, NoAnswer, Question};
use crate::{clock::Clock, metrics::Metrics, record::Timestamp};

/// After which silence a stream thread counts as stuck. A paused, rate-limited or waiting partition
/// does not stop the thread from looping, so none of them restarts the process.
const STUCK_AFTER_MS: i64 = 60_000;

/// What the stream thread tells about itself, and what it is told.
#[derive(Debug, Default)]
pub(super) struct State {
    heartbeat: AtomicI64,
    is_ready: AtomicBool,
    is_stopping: AtomicBool,
    is_held: AtomicBool,
    is_rejoin_wanted: AtomicBool,
    halt: OnceLock<String>,
    restores: Mutex<Vec<Restoring>>,
}

/// How far the restore of one task is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Restoring {
    pub(super) sub: String,
    pub(super) partition: i32,
    /// Changes restored so far.
    pub(super) changes: usize,
    /// Offsets of its changelogs that are still to be read; `None` before that is known.
    pub(super) left: Option<i64>,
    /// Why nothing comes at the moment.
    pub(super) waits: Option<String>,
}

impl std::fmt::Display for Restoring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { sub, partition, changes, left, waits } = self;
        write!(f, "{sub} partition {partition}: changes restored {changes}, ")?;
        match left {
            Some(left) => write!(f, "offsets left {left}")?,
            None => f.write_str("offsets left not known yet")?,
        }
        waits.as_ref().map_or(Ok(()), |waits| write!(f, "; waits: {waits}"))
    }
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

    /// The stream thread has to stop without committing, for this reason. The first one counts.
    pub(super) fn halt(&self, reason: String) {
        self.halt.get_or_init(|| reason);
    }

    /// Why the stream thread has to stop without committing, if it has to.
    pub(super) fn halted(&self) -> Option<&str> {
        self.halt.get().map(String::as_str)
    }

    /// The stream thread has to leave its group and join again.
    pub(super) fn want_rejoin(&self) {
        self.is_rejoin_wanted.store(true, Ordering::Relaxed);
    }

    /// Whether it has to, once.
    pub(super) fn take_rejoin(&self) -> bool {
        self.is_rejoin_wanted.swap(false, Ordering::Relaxed)
    }

    /// The restores under way.
    pub(super) fn restores(&self, restores: Vec<Restoring>) {
        *self.restores.lock().unwrap_or_else(PoisonError::into_inner) = restores;
    }

    /// What `/readyz` says while it is not ready; a line for each restore under way.
    fn unready(&self, paused: &str, metrics: &Metrics) -> String {
        let restoring = metrics.restoring_tasks.get();
        let restored = metrics.restore_records_total.get();
        let first = format!(
            "joining the group or restoring state{paused}; tasks restoring: {restoring}, changelog \
             records restored: {restored}"
        );
        let restores = self.restores.lock().unwrap_or_else(PoisonError::into_inner);
        let lines: Vec<_> =
            [first].into_iter().chain(restores.iter().map(Restoring::to_string)).collect();
        lines.join("\n")
    }

    /// An operator's wish: begin nothing new.
    fn hold(&self, is_held: bool) {
        self.is_held.store(is_held, Ordering::Relaxed);
    }

    pub(super) fn is_held(&self) -> bool {
        self.is_held.load(Ordering::Relaxed)
    }

    fn is_alive(&self, now: Timestamp) -> bool {
        now.saturating_sub(self.heartbeat.load(Ordering::Relaxed)) < STUCK_AFTER_MS
    }
}

/// What the server answers from.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) state: Arc<State>,
    pub(super) metrics: Metrics,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) asking: Arc<Asking>,
}

/// Serves until cancelled; the bound address comes back at once.
pub(super) async fn serve(
    listen: SocketAddr,
    server: Server,
    stop: CancellationToken,
) -> std::io::Result<(SocketAddr, impl Future<Output = ()>)> {
    let listener = tokio::net::TcpListener::bind(listen).await?;
    let addr = listener.local_addr()?;
    let routes = watching(&server).or(asking(&server.asking)).or(pausing(&server.state));
    let served = warp::serve(routes)
        .incoming(listener)
        .graceful(async move { stop.cancelled().await })
        .run();
    Ok((addr, served))
}

type Routes = warp::filters::BoxedFilter<(Response,)>;

fn watching(server: &Server) -> Routes {
    let Server { state, metrics, clock, .. } = server.clone();
    let live_state = Arc::clone(&state);
    let livez = warp::path!("livez").map(move || {
        answer(live_state.is_alive(clock.now()), "alive", "the stream thread has stopped looping")
    });
    let counted = metrics.clone();
    let readyz = warp::path!("readyz").map(move || {
        let is_ready = state.is_ready.load(Ordering::Relaxed);
        let paused = if state.is_held() { "; paused by an operator" } else { "" };
        let full = counted.partitions_paused.get();
        let said = if is_ready {
            format!("ready{paused}; partitions that wait for room: {full}")
        } else {
            state.unready(paused, &counted)
        };
        text(if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, said)
    });
    let scrape = warp::path!("metrics").map(move || match metrics.render() {
        Ok(rendered) => text(StatusCode::OK, rendered),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    });
    warp::get().and(livez.or(readyz).unify().or(scrape).unify()).boxed()
}

/// Interactive queries. Keys are UTF-8, percent-encoded in the path.
fn asking(asking: &Arc<Asking>) -> Routes {
    let with = {
        let asking = Arc::clone(asking);
        warp::any().map(move || Arc::clone(&asking))
    };
    let stores = warp::path!("stores").map(|| Some(Question::Stores));
    let key = warp::path!("stores" / String / "keys" / String)
        .map(|store, key: String| percent_decoded(&key).map(|key| Question::Key { store, key }));
    let range = warp::path!("stores" / String).and(warp::query::<HashMap<String, String>>()).map(
        |store, mut query: HashMap<String, String>| {
            let limit = match query.remove("limit").map(|limit| limit.parse()) {
                Some(Ok(limit)) => Some(limit),
                Some(Err(_)) => return None,
                None => None,
            };
            Some(Question::Range {
                store,
                from: query.remove("from"),
                to: query.remove("to"),
                limit,
            })
        },
    );
    warp::get()
        .and(stores.or(key).unify().or(range).unify())
        .and(with)
        .and_then(|question: Option<Question>, asking: Arc<Asking>| async move {
            let Some(question) = question else {
                let said = "{\"error\":\"a key is percent-encoded UTF-8, limit a number\"}";
                return Ok::<_, Infallible>(json(StatusCode::BAD_REQUEST, said.to_owned()));
            };
            Ok(match asking.ask(question).await {
                Ok(found) => json(StatusCode::OK, found),
                Err(none) => {
                    let status = match none {
                        NoAnswer::Busy { .. } => StatusCode::SERVICE_UNAVAILABLE,
                        _ => StatusCode::NOT_FOUND,
                    };
                    json(status, serde_json::to_string(&none).unwrap_or_default())
                }
            })
        })
        .boxed()
}

/// Pausing changes what the application does, so it is taken from this machine only, whoever may
/// scrape the rest.
fn pausing(state: &Arc<State>) -> Routes {
    let wish = |path: &'static str, is_held: bool| {
        let state = Arc::clone(state);
        warp::path(path).and(warp::path::end()).map(move || (Arc::clone(&state), is_held))
    };
    warp::post()
        .and(wish("pause", true).or(wish("resume", false)).unify())
        .and(warp::addr::remote())
        .map(|(state, is_held): (Arc<State>, bool), from: Option<SocketAddr>| {
            if !from.is_some_and(|from| from.ip().is_loopback()) {
                let said = "pausing is taken from this machine only".to_owned();
                return text(StatusCode::FORBIDDEN, said);
            }
            state.hold(is_held);
            let said = if is_held { "paused: nothing new is begun" } else { "resumed" };
            text(StatusCode::OK, said.to_owned())
        })
        .boxed()
}

/// `%41` to `A`; none for what is no UTF-8 then.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let high = char::from(rest.next()?).to_digit(16)?;
        let low = char::from(rest.next()?).to_digit(16)?;
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok()
}

fn answer(is_ok: bool, yes: &'static str, no: &'static str) -> Response {
    if is_ok {
        text(StatusCode::OK, yes.to_owned())
    } else {
        text(StatusCode::SERVICE_UNAVAILABLE, no.to_owned())
    }
}

fn text(status: StatusCode, said: String) -> Response {
    reply::with_status(said, status).into_response()
}

fn json(status: StatusCode, said: String) -> Response {
    reply::with_header(text(status, said), "content-type", "application/json").into_response()
}

#[cfg(test)]
mod tests {
    use super::{Restoring, STUCK_AFTER_MS, State, percent_decoded};
    use crate::metrics::Metrics;

    #[test]
    fn stuck_after_a_minute_without_a_round_and_alive_again_with_the_next() {
        let state = State::default();
        // not ready, held by an operator, waiting for whatever: none of it is being stuck
        state.hold(true);
        state.beat(1_000, false);
        assert!(state.is_alive(1_000 + STUCK_AFTER_MS - 1));
        assert!(!state.is_alive(1_000 + STUCK_AFTER_MS));
        state.beat(1_000 + STUCK_AFTER_MS, false);
        assert!(state.is_alive(1_000 + STUCK_AFTER_MS));
    }

    #[test]
    fn what_is_not_ready_says_of_each_partition_how_much_is_restored_and_left() {
        let (state, metrics) = (State::default(), Metrics::new("app").unwrap());
        metrics.restoring_tasks.set(2);
        metrics.restore_records_total.inc_by(4_000);
        let restore = |partition, changes, left, waits: Option<&str>| Restoring {
            sub: "sum".to_owned(),
            partition,
            changes,
            left,
            waits: waits.map(str::to_owned),
        };
        state.restores(vec![
            restore(0, 4_000, Some(38_000), None),
            restore(3, 0, None, Some("the committed offsets are held up by an open transaction")),
        ]);
        let said = state.unready("; paused by an operator", &metrics);
        let lines: Vec<_> = said.lines().collect();
        assert_eq!(
            lines,
            [
                "joining the group or restoring state; paused by an operator; tasks restoring: 2, \
                 changelog records restored: 4000",
                "sum partition 0: changes restored 4000, offsets left 38000",
                "sum partition 3: changes restored 0, offsets left not known yet; waits: the \
                 committed offsets are held up by an open transaction",
            ]
        );
        state.restores(Vec::new());
        assert_eq!(state.unready("", &metrics).lines().count(), 1);
    }

    #[test]
    fn keys_are_decoded_or_refused() {
        let check = |text: &str, expect: Option<&str>| {
            assert_eq!(percent_decoded(text).as_deref(), expect, "{text}");
        };
        check("account-1", Some("account-1"));
        check("a%2Fb%20c", Some("a/b c"));
        check("%C3%A4", Some("ä"));
        check("%", None);
        check("%4", None);
        check("%zz", None);
        check("%FF", None);
    }
}
