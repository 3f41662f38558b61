//! A queue of the library that is ours.

use std::ptr::NonNull;

use rdkafka::{bindings as c, types::RDKafka};

/// A reference to a queue. It must be dropped before the client it was made for.
pub(super) struct Queue(NonNull<c::rd_kafka_queue_t>);

// SAFETY: the library locks its queues itself; its manual calls every function safe from any thread.
unsafe impl Send for Queue {}

impl Queue {
    /// An empty queue that belongs to nobody else.
    ///
    /// # Safety
    ///
    /// `client` must be alive, and stay so until the queue has been dropped.
    pub(super) unsafe fn new(client: *mut RDKafka) -> Self {
        // SAFETY: the caller vouches for the client.
        let queue = unsafe { c::rd_kafka_queue_new(client) };
        // SAFETY: the library ends the process rather than give null for want of memory, and gives it
        // for no other reason.
        Self(unsafe { NonNull::new_unchecked(queue) })
    }

    /// Takes a reference over.
    ///
    /// # Safety
    ///
    /// The reference must be nobody else's, and its client stay alive until the queue has been dropped.
    pub(super) unsafe fn from_reference(queue: NonNull<c::rd_kafka_queue_t>) -> Self {
        Self(queue)
    }

    pub(super) fn as_ptr(&self) -> *mut c::rd_kafka_queue_t {
        self.0.as_ptr()
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: the reference is ours, and the client is alive as the constructors demand. Records
        // in a queue of our own go with it: they would keep the client's end waiting.
        unsafe { c::rd_kafka_queue_destroy(self.0.as_ptr()) }
    }
}
