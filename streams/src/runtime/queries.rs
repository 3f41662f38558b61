//! Questions to the stores of a running application.
//!
//! The HTTP side hands a question to the stream thread, which answers between two rounds of work: so
//! an answer is never half-way through a record. It shows what the stores hold now, records of the
//! open transaction included, and says which input offsets that reflects.

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{
        Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    time::Duration,
};

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::oneshot;

use super::engine::Engine;
use crate::{native::Waker, store::State, topology::StoreKind};

/// Questions that wait for the thread; more are told to come again.
const WAITING_MAX: usize = 64;

/// How long an answer may take: a thread that is restoring or closing does not answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Entries of one answer, unless asked for fewer, and at most.
const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 1_000;

/// What is asked.
#[derive(Debug)]
pub(super) enum Question {
    /// Which stores there are.
    Stores,
    /// The value of one key.
    Key { store: String, key: String },
    /// Entries in the order of their keys.
    Range { store: String, from: Option<String>, to: Option<String>, limit: Option<usize> },
}

/// Why there is no answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum NoAnswer {
    /// No such store in this application, or one whose entries cannot be shown.
    NoSuchStore { error: String },
    /// Not here: it does not exist, or another instance has its partition.
    NotHere { error: String, partitions_here: Vec<i32> },
    /// Too many ask, or the thread is restoring or closing.
    Busy { error: String },
}

/// Where inputs stand: topic, partition, next offset.
type Position = BTreeMap<String, BTreeMap<i32, Option<i64>>>;

#[derive(Debug, Serialize)]
struct StoreSummary {
    name: String,
    kind: &'static str,
    changelog: String,
    entries: usize,
    partitions_here: Vec<i32>,
}

#[derive(Debug, Serialize)]
struct Entry {
    key: String,
    value: Box<RawValue>,
}

/// Asks the stream thread.
#[derive(Debug)]
pub(super) struct Asking {
    questions: SyncSender<Asked>,
    waker: Mutex<Option<Waker>>,
}

/// A question and where its answer goes.
#[derive(Debug)]
pub(super) struct Asked {
    question: Question,
    answer: oneshot::Sender<Result<String, NoAnswer>>,
}

/// The two ends: for the HTTP server, and for stream threads, one after the other.
pub(super) fn channel() -> (Asking, Mutex<Receiver<Asked>>) {
    let (questions, asked) = sync_channel(WAITING_MAX);
    (Asking { questions, waker: Mutex::new(None) }, Mutex::new(asked))
}

impl Asking {
    /// How the thread that answers is woken.
    pub(super) fn wake_by(&self, waker: Waker) {
        *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(waker);
    }

    /// The answer as JSON.
    pub(super) async fn ask(&self, question: Question) -> Result<String, NoAnswer> {
        let (answer, answered) = oneshot::channel();
        match self.questions.try_send(Asked { question, answer }) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => return Err(busy("too many questions are waiting")),
            Err(TrySendError::Disconnected(_)) => return Err(busy("the application is stopping")),
        }
        if let Some(waker) = &*self.waker.lock().unwrap_or_else(PoisonError::into_inner) {
            waker.wake();
        }
        match tokio::time::timeout(ANSWER_TIMEOUT, answered).await {
            Ok(Ok(answer)) => answer,
            _ => Err(busy("the stream thread did not answer in time; it may be restoring")),
        }
    }
}

fn busy(error: &str) -> NoAnswer {
    NoAnswer::Busy { error: format!("{error}; ask again") }
}

/// Answers what has been asked since the last round.
pub(super) fn answer_all(engine: &Engine, asked: &Mutex<Receiver<Asked>>) {
    let asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
    for Asked { question, answer } in asked.try_iter() {
        // Whoever asked may have gone away.
        drop(answer.send(answer_to(engine, &question)));
    }
}

fn answer_to(engine: &Engine, question: &Question) -> Result<String, NoAnswer> {
    match question {
        Question::Stores => Ok(text(&serde_json::json!({ "stores": summaries(engine) }))),
        Question::Key { store, key } => {
            let shown = Shown::of(engine, store)?;
            let found = shown.parts.iter().find_map(|(task, state)| {
                let value = state.key_value()?.get(key.as_bytes())?;
                Some((task, value))
            });
            let Some((task, value)) = found else {
                return Err(NoAnswer::NotHere {
                    error: format!(
                        "no key `{key}` in the partitions of store `{store}` that this instance has; \
                         another instance may have it"
                    ),
                    partitions_here: shown.partitions(),
                });
            };
            let position = position([*task].into_iter());
            Ok(text(&serde_json::json!({ "key": key, "value": json(value), "position": position })))
        }
        Question::Range { store, from, to, limit } => {
            let shown = Shown::of(engine, store)?;
            let limit = limit.unwrap_or(LIMIT_DEFAULT).clamp(1, LIMIT_MAX);
            let bound = |key: &Option<String>, or| match key {
                Some(key) => Bound::Included(Bytes::copy_from_slice(key.as_bytes())),
                None => or,
            };
            let (from, to) = (bound(from, Bound::Unbounded), bound(to, Bound::Unbounded));
            let mut entries = BTreeMap::new();
            if is_ordered(&from, &to) {
                for (_, state) in &shown.parts {
                    let Some(state) = state.key_value() else { continue };
                    // One more than asked for tells whether there is a next page.
                    entries.extend(
                        state.range(from.clone(), to.clone()).take(limit.saturating_add(1)),
                    );
                }
            }
            let next =
                entries.keys().nth(limit).map(|key| String::from_utf8_lossy(key).into_owned());
            let entries: Vec<Entry> = entries
                .into_iter()
                .take(limit)
                .map(|(key, value)| Entry {
                    key: String::from_utf8_lossy(key).into_owned(),
                    value: json(value),
                })
                .collect();
            let position = position(shown.parts.iter().map(|(task, _)| *task));
            Ok(text(&serde_json::json!({ "entries": entries, "next": next, "position": position })))
        }
    }
}

/// `BTreeMap::range` panics on bounds the wrong way round.
fn is_ordered(from: &Bound<Bytes>, to: &Bound<Bytes>) -> bool {
    match (from, to) {
        (Bound::Included(from), Bound::Included(to)) => from <= to,
        _ => true,
    }
}

fn summaries(engine: &Engine) -> Vec<StoreSummary> {
    let topology = &engine.topology;
    let mut found = Vec::new();
    for (sub, spec) in topology.subs.iter().enumerate() {
        for (index, store) in spec.stores.iter().enumerate() {
            let tasks = engine.tasks.values().filter(|r| r.owner.sub == sub && r.is_restored);
            let tasks: Vec<_> = tasks.collect();
            found.push(StoreSummary {
                name: store.name.clone(),
                kind: match store.kind {
                    StoreKind::State => "key-value",
                    StoreKind::Ledger => "effect-ledger",
                    StoreKind::Seen { .. } => "dedupe",
                },
                changelog: engine
                    .environment
                    .names
                    .written(&store.topic(topology.application_id())),
                entries: tasks.iter().filter_map(|r| r.task.state(index)).map(State::len).sum(),
                partitions_here: tasks.iter().map(|r| r.owner.partition).collect(),
            });
        }
    }
    found
}

/// A store over the tasks of this instance.
struct Shown<'a> {
    parts: Vec<(&'a crate::task::Task, &'a State)>,
}

impl<'a> Shown<'a> {
    fn of(engine: &'a Engine, name: &str) -> Result<Self, NoAnswer> {
        let mut places = engine.topology.subs.iter().enumerate().flat_map(|(sub, spec)| {
            let stores = spec.stores.iter().enumerate();
            stores.map(move |(index, store)| (sub, index, store))
        });
        let Some((sub, index, store)) = places.find(|(_, _, store)| store.name == name) else {
            let error = format!("there is no store `{name}`; GET /stores lists them");
            return Err(NoAnswer::NoSuchStore { error });
        };
        if matches!(store.kind, StoreKind::Seen { .. }) {
            let error =
                format!("store `{name}` remembers ids by their hashes; GET /stores counts them");
            return Err(NoAnswer::NoSuchStore { error });
        }
        let tasks = engine.tasks.values().filter(|r| r.owner.sub == sub && r.is_restored);
        let parts = tasks.filter_map(|r| Some((&r.task, r.task.state(index)?))).collect();
        Ok(Self { parts })
    }

    fn partitions(&self) -> Vec<i32> {
        self.parts.iter().map(|(task, _)| task.partition()).collect()
    }
}

fn position<'a>(tasks: impl Iterator<Item = &'a crate::task::Task>) -> Position {
    let mut position = Position::new();
    for task in tasks {
        for (topic, next) in task.positions() {
            position.entry(topic.to_string()).or_default().insert(task.partition(), next);
        }
    }
    position
}

/// Stores hold JSON; anything else would be a foreign changelog's, shown as null.
fn json(value: &[u8]) -> Box<RawValue> {
    serde_json::from_slice(value).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"))
}
