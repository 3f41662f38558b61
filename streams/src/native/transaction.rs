//! Transactions, with errors told by their flags and a commit that does not stall.

use std::{ffi::CStr, ptr::NonNull, time::Duration};

use rdkafka::{
    TopicPartitionList, bindings as c,
    consumer::ConsumerGroupMetadata,
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseProducer, Producer as _, ProducerContext},
};

use super::millis;

/// Longest stay in one call of a commit before delivery reports are looked at. The library waits
/// for every record to leave its hands, and the report of a failed one leaves only through
/// [`pump`], on this thread. A healthy commit takes some ten milliseconds and stays within one call.
const COMMIT_SLICE: Duration = Duration::from_millis(250);

/// The same for an abort, which turns everything that still waits into such reports: short at
/// first, then doubled up to [`COMMIT_SLICE`].
const ABORT_SLICE_MIN: Duration = Duration::from_millis(20);

/// How long [`dispatch`] holds the thread at most: a client's thread that is woken looks at its queues
/// well within it, and not at all when the call is over before.
const DISPATCH_SLICE: Duration = Duration::from_millis(1);

/// Events handed out at once: broker after broker may answer meanwhile, and the thread has other work.
const EVENTS_MAX: usize = 1_000;

/// What has to follow an error. The code does not tell: a time-out may mean either of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The producer is of no more use: drop it, make another, read offsets and state again.
    Fatal,
    /// The transaction is lost, the producer is not: abort, rewind, restore. After a record that the
    /// broker refused, the next transaction may end like this once more: the record has left a gap in
    /// the producer's numbers, and only the abort after the gap begins them anew
    /// (`a_refused_record_costs_its_transaction_and_a_fence_the_producer`).
    Abort,
    /// Nothing is lost: make the same call again. Another call answers with a conflict.
    Retriable,
    /// The call was wrong, or the answer is not known: halt.
    Other,
}

/// Why a call of a transaction did not succeed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message} ({code}, {kind:?})")]
pub struct TransactionError {
    /// What has to follow.
    pub kind: Kind,
    /// The library's code.
    pub code: RDKafkaErrorCode,
    /// The library's words.
    pub message: String,
}

impl From<KafkaError> for TransactionError {
    fn from(error: KafkaError) -> Self {
        let KafkaError::Transaction(error) = error else {
            let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
            return Self { kind: Kind::Other, code, message: error.to_string() };
        };
        let kind = kind(error.is_fatal(), error.txn_requires_abort(), error.is_retriable());
        Self { kind, code: error.code(), message: error.string() }
    }
}

/// Flags in the order of their weight.
fn kind(is_fatal: bool, requires_abort: bool, is_retriable: bool) -> Kind {
    match (is_fatal, requires_abort, is_retriable) {
        (true, _, _) => Kind::Fatal,
        (_, true, _) => Kind::Abort,
        (_, _, true) => Kind::Retriable,
        _ => Kind::Other,
    }
}

/// Gives the producer its place: fences who had the same `transactional.id`, and ends what that one
/// left open.
pub fn init<C: ProducerContext>(
    producer: &BaseProducer<C>,
    timeout: Duration,
) -> Result<(), TransactionError> {
    Ok(producer.init_transactions(timeout)?)
}

/// Begins a transaction; no broker is asked.
pub fn begin<C: ProducerContext>(producer: &BaseProducer<C>) -> Result<(), TransactionError> {
    Ok(producer.begin_transaction()?)
}

/// Has records that wait for company leave now, without waiting for their answers: what is asked of a
/// broker meanwhile does not wait for them, nor they for it.
///
/// Gain: a transaction's ids and outputs leave at times of our choosing, once on the way and once before
/// its offsets, and not every few milliseconds; p50 93 ms before, 78 ms after (`docs/PERFORMANCE.md`,
/// "What changes to that did to p50"). Held by `dispatched_records_leave_long_before_they_have_company`.
pub fn dispatch<C: ProducerContext>(producer: &BaseProducer<C>) {
    let client = producer.client().native_ptr();
    // SAFETY: `producer` is borrowed, so its client is alive; the call may be made from any thread.
    // What it says, whether everything is acknowledged, the commit asks again.
    unsafe { c::rd_kafka_flush(client, millis(DISPATCH_SLICE)) };
}

/// Adds the offsets a group has come to.
///
/// `group` must be from the time the transaction began: the broker refuses a stale generation, not a
/// wrong owner, so newer metadata would let an offset of somebody else's partition through.
pub fn send_offsets<C: ProducerContext>(
    producer: &BaseProducer<C>,
    offsets: &TopicPartitionList,
    group: &ConsumerGroupMetadata,
    timeout: Duration,
) -> Result<(), TransactionError> {
    Ok(producer.send_offsets_to_transaction(offsets, group, timeout)?)
}

/// Commits; waits until every record has been acknowledged first.
///
/// For producers with `delivery.report.only.error=true`: reports of success would be waited for, too,
/// one [`COMMIT_SLICE`] after the other.
///
/// Gain: rdkafka's own `commit_transaction` flushes in steps of 100 ms that do not end early, so a
/// commit with one record under way takes at least that long. Measured by
/// `a_commit_with_records_under_way_does_not_stall`.
pub fn commit_transaction<C: ProducerContext>(
    producer: &BaseProducer<C>,
    timeout: Duration,
) -> Result<(), TransactionError> {
    pump(producer);
    let client = producer.client().native_ptr();
    resume(producer, timeout, COMMIT_SLICE, |slice| {
        // SAFETY: `producer` is borrowed, so its client is alive; the call may be made from any
        // thread, and gives an error that is ours, or null.
        let error = unsafe { c::rd_kafka_commit_transaction(client, millis(slice)) };
        // SAFETY: the error is ours and used once.
        unsafe { answer(error) }
    })
}

/// Aborts. Records that have not left yet are reported as purged.
pub fn abort<C: ProducerContext>(
    producer: &BaseProducer<C>,
    timeout: Duration,
) -> Result<(), TransactionError> {
    pump(producer);
    resume(producer, timeout, ABORT_SLICE_MIN, |slice| Ok(producer.abort_transaction(slice)?))
}

/// Hands the delivery reports and errors that are there to the producer's context, as one `poll` does
/// with one event.
pub fn pump<C: ProducerContext>(producer: &BaseProducer<C>) {
    for _ in 0..EVENTS_MAX {
        let before = producer.in_flight_count();
        producer.poll(Duration::ZERO);
        if before == 0 || producer.in_flight_count() >= before {
            return;
        }
    }
}

/// Makes a call in slices until it does not say any more that time ran out, with reports handed out
/// in between. The call resumes where it was, as the library documents.
fn resume<C: ProducerContext>(
    producer: &BaseProducer<C>,
    timeout: Duration,
    first: Duration,
    mut call: impl FnMut(Duration) -> Result<(), TransactionError>,
) -> Result<(), TransactionError> {
    let mut left = timeout;
    let mut slice = first;
    loop {
        slice = slice.min(left);
        let Err(error) = call(slice) else { return Ok(()) };
        pump(producer);
        left = left.saturating_sub(slice);
        let ran_out =
            error.kind == Kind::Retriable && error.code == RDKafkaErrorCode::OperationTimedOut;
        if !ran_out || left.is_zero() {
            return Err(error);
        }
        slice = slice.saturating_mul(2).min(COMMIT_SLICE);
    }
}

/// # Safety
///
/// `error` must be null or an error that nobody else frees.
unsafe fn answer(error: *mut c::rd_kafka_error_t) -> Result<(), TransactionError> {
    let Some(error) = NonNull::new(error) else { return Ok(()) };
    let error = error.as_ptr();
    // SAFETY: the error is alive until it is destroyed below; its string is part of it, ends with a
    // NUL, and is copied before.
    let told = unsafe {
        let is_fatal = c::rd_kafka_error_is_fatal(error) != 0;
        let requires_abort = c::rd_kafka_error_txn_requires_abort(error) != 0;
        let is_retriable = c::rd_kafka_error_is_retriable(error) != 0;
        TransactionError {
            kind: kind(is_fatal, requires_abort, is_retriable),
            code: c::rd_kafka_error_code(error).into(),
            message: CStr::from_ptr(c::rd_kafka_error_string(error)).to_string_lossy().into(),
        }
    };
    // SAFETY: nobody else frees it, and it is not used again.
    unsafe { c::rd_kafka_error_destroy(error) };
    Err(told)
}
