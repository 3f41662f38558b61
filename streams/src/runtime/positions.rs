//! How far things are: every second the client is asked how far it has read, and, beside the stream
//! thread, the broker where changelogs end.
//!
//! Everything below an end of a changelog is from a transaction that is decided (or was
//! acknowledged), so the state directory that is written next holds it: a restart reads on from there.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    time::Duration,
};

use rdkafka::{ClientConfig, consumer::BaseConsumer, error::KafkaError};

use super::{
    engine::{Engine, Owner},
    group::Consumer,
};
use crate::{native, record::Timestamp};

/// How often the ends are asked for: what a restart reads again is about this much.
const EVERY_MS: i64 = 1_000;

/// How long one question may take.
const ASK_TIMEOUT: Duration = Duration::from_secs(5);

type Asked = Vec<(Owner, Vec<Arc<str>>)>;
type Answered = Vec<(Owner, Vec<i64>)>;

pub(super) struct Positions {
    asker: Arc<BaseConsumer>,
    requests: Sender<Asked>,
    answers: Receiver<Option<Answered>>,
    asked_at: Timestamp,
    is_waiting: bool,
}

impl Positions {
    /// Starts the thread that asks; it ends when this is dropped.
    pub(super) fn new(servers: &str, client_id: &str) -> Result<Self, KafkaError> {
        let asker: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", servers)
            .set("client.id", format!("{client_id}-positions"))
            .set("isolation.level", "read_committed")
            .create()?;
        let asker = Arc::new(asker);
        let (requests, asked) = channel::<Asked>();
        let (answer, answers) = channel();
        let client = Arc::clone(&asker);
        let spawned = std::thread::Builder::new().name("positions".to_owned()).spawn(move || {
            while let Ok(asked) = asked.recv() {
                if answer.send(ends(&client, &asked)).is_err() {
                    return;
                }
            }
        });
        if let Err(error) = spawned {
            // Without it a restart reads more of its changelogs, and that is all.
            tracing::warn!(%error, "cannot start the thread that asks for changelog ends");
        }
        Ok(Self { asker, requests, answers, asked_at: 0, is_waiting: false })
    }

    /// Takes an answer that has come, or asks when it is time.
    pub(super) fn turn(&mut self, engine: &mut Engine, consumer: &Consumer) {
        if let Ok(answered) = self.answers.try_recv() {
            self.is_waiting = false;
            set(engine, answered);
        }
        let now = engine.now();
        if self.is_waiting || (self.asked_at..self.asked_at + EVERY_MS).contains(&now) {
            return;
        }
        self.asked_at = now;
        engine.pass_what_is_no_record(consumer);
        let asked = engine.changelogs();
        if !asked.is_empty() {
            self.is_waiting = self.requests.send(asked).is_ok();
        }
    }

    /// Asks and waits: at the end, when nothing is on its way any more.
    pub(super) fn ask_now(&self, engine: &mut Engine) {
        let asked = engine.changelogs();
        if !asked.is_empty() {
            set(engine, ends(&self.asker, &asked));
            engine.keep_ends();
        }
    }
}

fn set(engine: &mut Engine, answered: Option<Answered>) {
    for (owner, ends) in answered.into_iter().flatten() {
        engine.set_changelog_ends(owner, ends);
    }
}

fn ends(asker: &BaseConsumer, asked: &Asked) -> Option<Answered> {
    let places: Vec<(&str, i32)> = asked
        .iter()
        .flat_map(|(owner, topics)| topics.iter().map(|topic| (&**topic, owner.partition)))
        .collect();
    let mut ends = match native::end_offsets(asker, &places, ASK_TIMEOUT) {
        Ok(ends) => ends.into_iter(),
        Err(error) => {
            tracing::debug!(%error, "the ends of the changelogs; asked again later");
            return None;
        }
    };
    let answered = asked
        .iter()
        .map(|(owner, topics)| (*owner, ends.by_ref().take(topics.len()).collect()))
        .collect();
    Some(answered)
}
