//! Which topic a name stands for.

use std::{
    collections::BTreeMap,
    ffi::{CStr, CString, c_char},
    ptr::{self, NonNull},
    slice,
    time::Duration,
};

use rdkafka::{
    bindings as c,
    client::{Client, ClientContext},
    error::KafkaError,
    types::{RDKafkaErrorCode, RDKafkaRespErr},
};

use super::{millis, queue::Queue};

/// A topic's own id: one that is deleted and made anew under its name has another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicId(i64, i64);

/// Topics by name.
pub type TopicIds = BTreeMap<String, TopicId>;

/// The ids of these topics; those that are not there are left out.
///
/// Waits up to `timeout` for the answer, on this thread. The safe API knows no topic ids, and the
/// library goes on at its old offset in a topic that was made anew: what is below is not read. Held
/// by `topic_made_anew_under_a_running_application_halts_it`.
pub fn topic_ids<'a, C: ClientContext>(
    client: &Client<C>,
    topics: impl IntoIterator<Item = &'a str>,
    timeout: Duration,
) -> Result<TopicIds, KafkaError> {
    let names: Vec<CString> = topics.into_iter().map(CString::new).collect::<Result<_, _>>()?;
    let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    let client = client.native_ptr();
    // SAFETY: the client is borrowed for the whole call, and outlives the queue.
    let queue = unsafe { Queue::new(client) };
    // SAFETY: the client is alive; every name ends with a NUL and is copied, and the collection is ours,
    // read and freed here; there may be no options.
    unsafe {
        let (start, count) = (pointers.as_mut_ptr(), pointers.len());
        let collection = c::rd_kafka_TopicCollection_of_topic_names(start, count);
        c::rd_kafka_DescribeTopics(client, collection, ptr::null(), queue.as_ptr());
        c::rd_kafka_TopicCollection_destroy(collection);
    }
    // SAFETY: the queue is alive; the answer is null or an event that is ours.
    let event = unsafe { c::rd_kafka_queue_poll(queue.as_ptr(), millis(timeout)) };
    let event = NonNull::new(event).map(Event);
    event.ok_or(KafkaError::MetadataFetch(RDKafkaErrorCode::OperationTimedOut))?.ids()
}

struct Event(NonNull<c::rd_kafka_event_t>);

impl Event {
    fn ids(&self) -> Result<TopicIds, KafkaError> {
        let event = self.0.as_ptr();
        // SAFETY: the event is alive.
        refuse(unsafe { c::rd_kafka_event_error(event) })?;
        // SAFETY: the event is alive; it gives null when it is of another kind.
        let result = unsafe { c::rd_kafka_event_DescribeTopics_result(event) };
        if result.is_null() {
            return Err(KafkaError::MetadataFetch(RDKafkaErrorCode::Fail));
        }
        let mut count = 0;
        // SAFETY: the result is part of the event; it gives the start of `count` addresses, or null
        // when there are none.
        let topics = unsafe {
            let start = c::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
            if start.is_null() { &[] } else { slice::from_raw_parts(start, count) }
        };
        let mut ids = TopicIds::new();
        for topic in topics {
            // SAFETY: each description is part of the result, and so is its error, or there is none.
            let code =
                unsafe { c::rd_kafka_error_code(c::rd_kafka_TopicDescription_error(*topic)) };
            if code == RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART {
                continue;
            }
            refuse(code)?;
            // SAFETY: name and id are part of the description; the name ends with a NUL, and both are
            // copied.
            let (name, id) = unsafe {
                let name = CStr::from_ptr(c::rd_kafka_TopicDescription_name(*topic));
                let id = c::rd_kafka_TopicDescription_topic_id(*topic);
                let high = c::rd_kafka_Uuid_most_significant_bits(id);
                let low = c::rd_kafka_Uuid_least_significant_bits(id);
                (name.to_string_lossy().into_owned(), TopicId(high, low))
            };
            ids.insert(name, id);
        }
        Ok(ids)
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: ours, and nothing borrows from it any more.
        unsafe { c::rd_kafka_event_destroy(self.0.as_ptr()) }
    }
}

fn refuse(code: RDKafkaRespErr) -> Result<(), KafkaError> {
    match code {
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
        code => Err(KafkaError::MetadataFetch(code.into())),
    }
}
