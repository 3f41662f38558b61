//! The stream thread: polls, feeds, carries out.

mod rejoins;
mod restores;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::Duration,
};

use rdkafka::{
    Message as _, Offset,
    consumer::Consumer as _,
    error::{KafkaError, RDKafkaErrorCode},
};

pub(super) use self::rejoins::{Ending, Rejoins};
use self::{rejoins::FENCED, restores::Restore};
use super::{
    engine::{Engine, Owner},
    group::{Consumer, Group, lock},
    health::State,
    positions::Positions,
    queries::{self, Asked},
    restore::Progress,
};
use crate::{
    native::{BatchReader, FetchError},
    record::Timestamp,
};

/// Records taken from the client between two rounds of work.
pub(super) const RECORDS_A_ROUND_MAX: usize = 1_000;

/// How long a seek may take.
const SEEK_TIMEOUT: Duration = Duration::from_secs(5);

/// Restored batches that wait for the thread.
const RESTORED_BATCHES_MAX: usize = 16;

/// One consumer, its producers, many tasks.
pub(super) struct StreamThread {
    reader: BatchReader<Group>,
    consumer: Arc<Consumer>,
    engine: Arc<Mutex<Engine>>,
    state: Arc<State>,
    positions: Positions,
    asked: Arc<Mutex<Receiver<Asked>>>,
    servers: String,
    group_id: String,
    restores: (SyncSender<Progress>, Receiver<Progress>),
    restoring: BTreeMap<Owner, Restore>,
    /// Since when a state directory is somebody else's.
    locked_since: Option<Timestamp>,
}

impl StreamThread {
    #[expect(clippy::too_many_arguments, reason = "what a thread owns, handed over once")]
    pub(super) fn new(
        consumer: Arc<Consumer>,
        reader: BatchReader<Group>,
        engine: Arc<Mutex<Engine>>,
        state: Arc<State>,
        positions: Positions,
        asked: Arc<Mutex<Receiver<Asked>>>,
        servers: String,
        group_id: String,
    ) -> Self {
        let restores = sync_channel(RESTORED_BATCHES_MAX);
        state.restores(Vec::new());
        let restoring = BTreeMap::new();
        Self {
            reader,
            consumer,
            engine,
            state,
            positions,
            asked,
            servers,
            group_id,
            restores,
            restoring,
            locked_since: None,
        }
    }

    /// Runs until it is told to stop or cannot go on. On a stop, work under way finishes, offsets are
    /// committed; otherwise nothing is.
    pub(super) fn run(mut self) -> Result<(), Ending> {
        while !self.state.is_stopping() {
            self.round();
            let mut engine = lock(&self.engine);
            self.state.beat(engine.now(), engine.is_ready());
            if let Some(reason) = self.state.halted() {
                engine.stop("consumer", reason);
            }
            if let Some(halt) = &engine.halt {
                return Err(Ending::Halt(halt.clone()));
            }
            if let Some(reason) = &engine.again {
                return Err(Ending::Again(reason.clone()));
            }
        }
        let mut engine = lock(&self.engine);
        engine.pass_what_is_no_record(&self.consumer);
        let keys: Vec<_> = engine.tasks.keys().copied().collect();
        engine.close(&keys, &self.consumer);
        engine.renew_membership(&self.consumer);
        if engine.again.is_none() {
            self.positions.ask_now(&mut engine);
        }
        for (_, running) in std::mem::take(&mut engine.tasks) {
            Engine::close_directory(running);
        }
        let halt = engine.halt.clone();
        drop(engine);
        // Dropping the consumer revokes what is left, through a callback that takes the lock.
        drop(self.reader);
        drop(self.consumer);
        halt.map_or(Ok(()), |halt| Err(Ending::Halt(halt)))
    }

    fn round(&mut self) {
        self.serve_group();
        if self.state.take_rejoin() {
            self.rejoin();
        }
        let mut failed = Vec::new();
        {
            let mut engine = lock(&self.engine);
            engine.hold_work(self.state.is_held());
            let wait = engine.rest();
            let waits_since = engine.now();
            // Records come in a burst after the wait, so the time is taken for each batch anew.
            let mut now = None;
            self.reader.read(wait, |fetched| match fetched {
                Ok(fetched) => {
                    let now = *now.get_or_insert_with(|| engine.now());
                    engine.deliver(&fetched, &self.consumer, now);
                }
                Err(error) => failed.push(error),
            });
            let waited_until = now.unwrap_or_else(|| engine.now());
            engine.rested(waits_since, waited_until);
        }
        for error in failed {
            self.fetch_failed(&error);
        }
        let has_ended = self.end_unwanted();
        let has_begun = self.begin_restores();
        if self.take_restored() || has_begun || has_ended {
            self.show_restores();
        }
        let mut engine = lock(&self.engine);
        engine.pump(&self.consumer);
        self.positions.turn(&mut engine, &self.consumer);
        queries::answer_all(&engine, &self.asked);
    }

    /// Leaves the group and joins it again: its partitions are divided anew. They are revoked in order
    /// before, as in any rebalance.
    fn rejoin(&self) {
        let rejoined = self.consumer.subscription().and_then(|subscribed| {
            let topics: Vec<_> =
                subscribed.elements().iter().map(|e| e.topic().to_owned()).collect();
            self.consumer.unsubscribe();
            self.consumer.subscribe(&topics.iter().map(String::as_str).collect::<Vec<_>>())
        });
        if let Err(error) = rejoined {
            lock(&self.engine).again.get_or_insert(format!("joining the group again: {error}"));
        }
    }

    /// Rebalances and errors; records come through the reader.
    fn serve_group(&self) {
        while let Some(event) = self.consumer.poll(Duration::ZERO) {
            match event {
                Ok(message) => {
                    // Fetched before its partition was forwarded: it comes again, through the reader.
                    let (topic, partition) = (message.topic(), message.partition());
                    let back = Offset::Offset(message.offset());
                    if let Err(error) = self.consumer.seek(topic, partition, back, SEEK_TIMEOUT) {
                        // A new thread reads from what is committed.
                        let why = format!("{topic}/{partition}: seeking back: {error}");
                        lock(&self.engine).again.get_or_insert(why);
                    }
                }
                Err(error) => self.poll_failed(&error),
            }
        }
    }

    /// The client's batches count an error of a partition as a record: its position is one further
    /// than what was read, and a pause would go on from there. So it is told where to go on.
    fn fetch_failed(&self, error: &FetchError) {
        self.poll_failed(&error.source);
        let Some(topic) = &error.topic else { return };
        let mut engine = lock(&self.engine);
        let Some(next) = engine.next_offset(topic, error.partition) else { return };
        let sought = self.consumer.seek(topic, error.partition, Offset::Offset(next), SEEK_TIMEOUT);
        if let Err(error) = sought {
            engine.again.get_or_insert(format!("{topic}: seeking back after an error: {error}"));
        }
    }

    fn poll_failed(&self, error: &KafkaError) {
        let code = error.rdkafka_error_code();
        match code {
            Some(RDKafkaErrorCode::UnknownTopicOrPartition) => lock(&self.engine).stop(
                "consumer",
                "a topic that is read was deleted, and may have been made anew; run `bankstream \
                 topology apply`, set the group's offset to what you decide, then start again",
            ),
            Some(RDKafkaErrorCode::FencedInstanceId) => self.fenced(),
            Some(RDKafkaErrorCode::Fatal) => {
                if let Some((code, reason)) = self.consumer.client().fatal_error() {
                    if code == RDKafkaErrorCode::FencedInstanceId {
                        self.fenced();
                    } else {
                        lock(&self.engine).stop("consumer", &format!("{code}: {reason}"));
                    }
                }
            }
            Some(RDKafkaErrorCode::UnreleasedInstanceId) => {
                // KIP-848: a killed instance keeps its name until the broker ends its session. This
                // consumer can do nothing more; the next one asks again.
                let why = "the broker still holds this instance's name, until the session of the one that \
                           was killed ends";
                lock(&self.engine).again.get_or_insert(why.to_owned());
            }
            _ => {
                if let Some((code, reason)) = self.consumer.client().fatal_error() {
                    // Whatever it was, nothing would ever come from this consumer again.
                    lock(&self.engine).again.get_or_insert(format!("{code}: {reason}"));
                } else {
                    tracing::warn!(%error, "poll");
                }
            }
        }
    }

    fn fenced(&self) {
        lock(&self.engine).stop("consumer", FENCED);
    }
}
