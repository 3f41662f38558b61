//! A topic as the library knows it.

use std::{ffi::CString, ptr::NonNull};

use rdkafka::{
    bindings as c,
    error::KafkaError,
    types::{RDKafka, RDKafkaErrorCode, RDKafkaTopic},
};

/// A handle of a topic. It must be dropped before the client it was made for.
pub(super) struct Topic(NonNull<RDKafkaTopic>);

// SAFETY: the library counts references to a topic atomically and locks its insides itself; its
// manual calls every function safe from any thread.
unsafe impl Send for Topic {}
// SAFETY: as above; a shared handle only gives the address away.
unsafe impl Sync for Topic {}

impl Topic {
    /// The topic `name` with the client's default settings, the partitioner among them.
    ///
    /// # Safety
    ///
    /// `client` must be alive, and stay so until the handle has been dropped.
    pub(super) unsafe fn new(client: *mut RDKafka, name: &str) -> Result<Self, KafkaError> {
        let name = CString::new(name)?;
        // SAFETY: the caller vouches for the client; the name ends with a NUL and is copied; without
        // settings of its own the topic takes a copy of the client's.
        let topic = unsafe { c::rd_kafka_topic_new(client, name.as_ptr(), std::ptr::null_mut()) };
        NonNull::new(topic).map(Self).ok_or_else(last_error)
    }

    pub(super) fn as_ptr(&self) -> *mut RDKafkaTopic {
        self.0.as_ptr()
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        // SAFETY: the handle owns one reference, and its client is alive as `new` demands.
        unsafe { c::rd_kafka_topic_destroy(self.0.as_ptr()) }
    }
}

/// What the library noted for this thread.
fn last_error() -> KafkaError {
    // SAFETY: reads a variable of the thread.
    let code = unsafe { c::rd_kafka_last_error() };
    KafkaError::MessageProduction(RDKafkaErrorCode::from(code))
}
