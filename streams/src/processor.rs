//! What a user of the runtime writes.

use std::time::Duration;

use apache_avro::AvroSchema;
use serde::{Serialize, de::DeserializeOwned};

use crate::{context::Context, disposition::Classify, fault::Fault, key::Key, record::Record};

/// A record's value: a serde type with the Avro schema of its topic.
pub trait Value: Serialize + DeserializeOwned + AvroSchema + Send + 'static {}

impl<V: Serialize + DeserializeOwned + AvroSchema + Send + 'static> Value for V {}

/// Decides about one record at a time, in the order of its partition.
///
/// What one call writes (forwards, store changes) takes effect together when it returns `Ok`, and
/// not at all when it returns an error.
pub trait Processor: Send + 'static {
    /// Key of the source.
    type Key: Key;
    /// Value of the source.
    type Value: Value;
    /// What can go wrong; decides about retry, dead letter or halt.
    type Error: Classify + From<Fault>;

    /// Handles one record.
    fn process(
        &mut self,
        ctx: &mut Context<'_>,
        record: &Record<Self::Key, Self::Value>,
    ) -> Result<(), Self::Error>;

    /// Called by time when the node was built with `punctuate_every` (wall clock) or
    /// `punctuate_on_stream_time`; [`Context::punctuation`] says which, [`Context::partition`] for which task.
    ///
    /// Every task is punctuated for itself. By wall clock also before its first record, for the first time an
    /// interval after its start, and once for all the intervals that a pause has skipped. What it writes
    /// belongs to the open transaction like what a record writes
    /// (`no_story_loses_an_output_or_counts_an_input_twice`). An error that says `Retry` undoes what it wrote
    /// and waits for the next time; any other halts.
    fn punctuate(&mut self, _ctx: &mut Context<'_>) -> Result<(), Self::Error> {
        Ok(())
    }
}

/// What [`AsyncProcessor::begin`] asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begin<R> {
    /// Make this request; `complete` gets its answer.
    Call(R),
    /// Nothing to ask: the record is finished.
    Done,
}

/// Decides about records with the help of somebody else's answer.
///
/// Records of one key are handled one after the other, across every asynchronous node of the
/// sub-topology; records of different keys at the same time, up to the limit of
/// [`AsyncOptions::in_flight`]. `begin` and `complete` run on the stream thread and may use stores;
/// only `call` is asynchronous.
pub trait AsyncProcessor: Send + 'static {
    /// Key of the source.
    type Key: Key;
    /// Value of the source.
    type Value: Value;
    /// What is asked; kept for another try.
    type Request: Clone + Send + 'static;
    /// What comes back. Cloned only under exactly-once: an answer outlives the transaction it was used
    /// in, so that an abort does not ask again.
    type Answer: Clone + Send + 'static;
    /// What can go wrong.
    type Error: Classify + From<Fault>;

    /// Looks at a record and says what to ask.
    fn begin(
        &mut self,
        ctx: &mut Context<'_>,
        record: &Record<Self::Key, Self::Value>,
    ) -> Result<Begin<Self::Request>, Self::Error>;

    /// Asks. An error that says `Retry` repeats the call with the same request.
    fn call(
        &self,
        request: Self::Request,
    ) -> impl Future<Output = Result<Self::Answer, Self::Error>> + Send + 'static;

    /// The host a request goes to, where calls to one host are limited
    /// ([`AsyncOptions::in_flight_per_host`]); none leaves the call out of that limit.
    fn host<'r>(&self, _request: &'r Self::Request) -> Option<std::borrow::Cow<'r, str>> {
        None
    }

    /// Finishes the record with the answer.
    fn complete(
        &mut self,
        ctx: &mut Context<'_>,
        record: &Record<Self::Key, Self::Value>,
        answer: Self::Answer,
    ) -> Result<(), Self::Error>;

    /// Called by time when the node was built with `punctuate_every` (wall clock) or
    /// `punctuate_on_stream_time`; [`Context::punctuation`] says which.
    fn punctuate(&mut self, _ctx: &mut Context<'_>) -> Result<(), Self::Error> {
        Ok(())
    }
}

/// How an effect ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<A> {
    /// The other side answered.
    Done {
        /// Its answer.
        answer: A,
        /// Calls made, the last included.
        attempts: u32,
    },
    /// Nobody can know whether it happened: the call was made, its answer was lost, and the other
    /// side no longer honours the key.
    Unknown {
        /// Calls made.
        attempts: u32,
        /// What the last one said, as far as it said anything.
        detail: String,
    },
}

/// Touches the world, once per effect id as far as anybody can promise it.
///
/// The runtime keeps a ledger: the intent is acknowledged by the broker before the call is made,
/// the answer is written behind it, then the offset moves. A crash in between repeats the call with
/// the same idempotency key while the other side honours it; after that the outcome is
/// [`Outcome::Unknown`].
pub trait Effect: Send + 'static {
    /// Key of the source.
    type Key: Key;
    /// Value of the source.
    type Value: Value + Clone;
    /// The other side's answer, refusals included; kept in the ledger.
    type Answer: Serialize + DeserializeOwned + Clone + Send + 'static;
    /// What can go wrong with a call.
    type Error: Classify + From<Fault>;

    /// The effect this record asks for; `None` when it asks for none.
    fn effect_id(&self, record: &Record<Self::Key, Self::Value>) -> Option<String>;

    /// How long the other side honours an idempotency key.
    fn key_validity(&self) -> Duration;

    /// Makes the call. A refusal is an answer; an error that says `Retry` repeats it with the same
    /// key, one that says `DeadLetter` makes the outcome unknown, one that says `Halt` stops.
    fn call(
        &self,
        idempotency_key: String,
        record: Record<Self::Key, Self::Value>,
    ) -> impl Future<Output = Result<Self::Answer, Self::Error>> + Send + 'static;

    /// Tells the rest of the pipeline. May be called again with the same outcome after a crash.
    fn finish(
        &mut self,
        ctx: &mut Context<'_>,
        record: &Record<Self::Key, Self::Value>,
        outcome: &Outcome<Self::Answer>,
    ) -> Result<(), Self::Error>;
}

/// No limit of its own for a host: what a semaphore can count.
const PER_HOST_MAX: usize = tokio::sync::Semaphore::MAX_PERMITS;

/// Limits of an asynchronous node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AsyncOptions {
    /// Calls at the same time, per task; 64 unless set. `Application::calls_in_flight` limits all tasks of
    /// the process together.
    pub in_flight_max: usize,
    /// Calls at the same time to one host, over all tasks of the process; no limit unless set.
    pub per_host_max: usize,
    /// How long one record may hold its partition up, once the partition has come to its cap of
    /// unfinished records behind it, before it goes to the dead letters; 5 minutes unless set.
    pub max_block: Duration,
}

impl Default for AsyncOptions {
    fn default() -> Self {
        Self { in_flight_max: 64, per_host_max: PER_HOST_MAX, max_block: Duration::from_mins(5) }
    }
}

impl AsyncOptions {
    /// At most `calls` at the same time, per task; at least one.
    #[must_use]
    pub fn in_flight(mut self, calls: usize) -> Self {
        self.in_flight_max = calls.max(1);
        self
    }

    /// At most `calls` at the same time to one host that [`AsyncProcessor::host`] names, over all
    /// tasks; at least one.
    #[must_use]
    pub fn in_flight_per_host(mut self, calls: usize) -> Self {
        self.per_host_max = calls.clamp(1, PER_HOST_MAX);
        self
    }

    /// A record may hold a full partition up for `time` before it goes to the dead letters.
    #[must_use]
    pub fn max_block(mut self, time: Duration) -> Self {
        self.max_block = time;
        self
    }
}
