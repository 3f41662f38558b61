//! Which partitions' records go to the reader.

use std::{
    collections::{BTreeSet, HashMap},
    ffi::CString,
    fmt,
    ptr::NonNull,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use rdkafka::{bindings as c, error::KafkaError, types::RDKafka};

use super::super::{queue::Queue, topic::Topic};

/// Why a partition cannot be forwarded.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// There is no reader, or not any more.
    #[error("{topic} [{partition}] cannot be forwarded: nobody reads")]
    Closed {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
    },
    /// The client has no such partition.
    #[error("{topic} [{partition}] cannot be forwarded: the client does not know it")]
    Unknown {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
    },
    /// The topic's name is none.
    #[error("topic `{topic}` cannot be forwarded")]
    Topic {
        /// The topic.
        topic: String,
        /// What the client said.
        #[source]
        source: KafkaError,
    },
}

/// Sends the records of partitions to a [`BatchReader`](super::BatchReader).
///
/// It is made before the consumer, so that the consumer's context can hold a clone: `forward` belongs
/// into `pre_rebalance` of an assignment, before the first record can be fetched, and on every
/// assignment anew; `unforward` into `pre_rebalance` of a revocation. For partitions assigned by
/// hand: `forward`, then `assign` or `incremental_assign`.
#[derive(Clone, Default)]
pub struct Forwarding(Arc<Shared>);

#[derive(Default)]
struct Shared {
    open: Mutex<Option<Open>>,
    /// Counts changes of `Open::topics`, so that the reader need not lock for every record.
    version: AtomicU64,
    woken: AtomicBool,
}

struct Open {
    client: *mut RDKafka,
    queue: *mut c::rd_kafka_queue_t,
    topics: HashMap<Arc<str>, Forwarded>,
}

// SAFETY: the addresses are used only while the reader lives, which takes `Open` away under the lock
// before it gives them up; the library's functions are safe from any thread.
unsafe impl Send for Open {}

struct Forwarded {
    /// Keeps the topic's address from being given to another topic.
    handle: Topic,
    partitions: BTreeSet<i32>,
}

/// What the reader lets through of a topic.
pub(super) struct Live {
    pub(super) handle: *mut c::rd_kafka_topic_t,
    pub(super) name: Arc<str>,
    pub(super) partitions: BTreeSet<i32>,
}

impl fmt::Debug for Forwarding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = self.lock();
        let partitions = open.iter().flat_map(|open| &open.topics);
        let partitions = partitions.map(|(name, topic)| (name, &topic.partitions));
        out.debug_map().entries(partitions).finish()
    }
}

impl Forwarding {
    /// From now on the records of this partition come through the reader. A second call is needed
    /// after each assignment, and does no harm otherwise.
    pub fn forward(&self, topic: &str, partition: i32) -> Result<(), ForwardError> {
        let mut open = self.lock();
        let Some(open) = open.as_mut() else {
            return Err(ForwardError::Closed { topic: topic.to_owned(), partition });
        };
        let refused = |source| ForwardError::Topic { topic: topic.to_owned(), source };
        let name = CString::new(topic).map_err(|error| refused(error.into()))?;
        if !open.topics.contains_key(topic) {
            // SAFETY: while `Open` is there, the client is; the handle is dropped with it.
            let handle = unsafe { Topic::new(open.client, topic) }.map_err(refused)?;
            let forwarded = Forwarded { handle, partitions: BTreeSet::new() };
            open.topics.insert(topic.into(), forwarded);
        }
        // SAFETY: while `Open` is there, client and queue are; the name ends with a NUL.
        let source =
            unsafe { c::rd_kafka_queue_get_partition(open.client, name.as_ptr(), partition) };
        let Some(source) = NonNull::new(source) else {
            return Err(ForwardError::Unknown { topic: topic.to_owned(), partition });
        };
        // SAFETY: the reference was made for us; it is dropped before the lock is given back.
        let source = unsafe { Queue::from_reference(source) };
        // SAFETY: both queues are alive; the partition keeps a reference to ours.
        unsafe { c::rd_kafka_queue_forward(source.as_ptr(), open.queue) };
        if let Some(forwarded) = open.topics.get_mut(topic) {
            forwarded.partitions.insert(partition);
        }
        self.0.version.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// From now on the reader leaves out the records of this partition, those that wait for it
    /// included. The library itself ends the forwarding with the assignment.
    pub fn unforward(&self, topic: &str, partition: i32) {
        let mut open = self.lock();
        let forwarded = open.as_mut().and_then(|open| open.topics.get_mut(topic));
        if forwarded.is_some_and(|topic| topic.partitions.remove(&partition)) {
            self.0.version.fetch_add(1, Ordering::Release);
        }
    }

    /// Ends waits of the reader from other threads.
    pub fn waker(&self) -> Waker {
        Waker(self.clone())
    }

    /// # Safety
    ///
    /// `client` and `queue` must be alive until `close` has been called with this queue.
    pub(super) unsafe fn open(&self, client: *mut RDKafka, queue: &Queue) {
        let open = Open { client, queue: queue.as_ptr(), topics: HashMap::new() };
        *self.lock() = Some(open);
        self.0.version.fetch_add(1, Ordering::Release);
    }

    /// Forgets everything about this queue; a reader that came later is left alone.
    pub(super) fn close(&self, queue: &Queue) {
        let mut open = self.lock();
        if open.as_ref().is_some_and(|open| open.queue == queue.as_ptr()) {
            *open = None;
            self.0.version.fetch_add(1, Ordering::Release);
        }
    }

    /// Whether a waker was used since the last call.
    pub(super) fn take_wake(&self) -> bool {
        self.0.woken.swap(false, Ordering::AcqRel)
    }

    /// The state, when it is another than that of `version`.
    pub(super) fn newer_than(&self, version: u64) -> Option<(u64, Vec<Live>)> {
        if self.0.version.load(Ordering::Acquire) == version {
            return None;
        }
        let open = self.lock();
        let live = |(name, topic): (&Arc<str>, &Forwarded)| Live {
            handle: topic.handle.as_ptr(),
            name: Arc::clone(name),
            partitions: topic.partitions.clone(),
        };
        let topics = open.iter().flat_map(|open| open.topics.iter().map(live)).collect();
        Some((self.0.version.load(Ordering::Acquire), topics))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Open>> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the wait of a reader.
#[derive(Clone, Debug)]
pub struct Waker(Forwarding);

impl Waker {
    /// The wait under way ends, or the next one does not begin. Without a reader: nothing.
    pub fn wake(&self) {
        self.0.0.woken.store(true, Ordering::Release);
        if let Some(open) = self.0.lock().as_ref() {
            // SAFETY: while `Open` is there, the queue is.
            unsafe { c::rd_kafka_queue_yield(open.queue) };
        }
    }
}
