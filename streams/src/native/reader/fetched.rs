//! One record of a batch, lent.

use std::{
    borrow::Cow,
    ffi::{CStr, c_void},
    marker::PhantomData,
    ptr::{self, NonNull},
    slice,
    sync::Arc,
};

use rdkafka::{
    bindings as c,
    error::{KafkaError, RDKafkaErrorCode},
    types::RDKafkaRespErr,
};

use super::forwarding::{Forwarding, Live};

/// A record, for as long as its batch is read.
#[derive(Clone, Copy, Debug)]
pub struct Fetched<'a> {
    /// The topic.
    pub topic: &'a Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// Milliseconds since the Unix epoch, when the record has them.
    pub timestamp: Option<i64>,
    /// The key's bytes.
    pub key: Option<&'a [u8]>,
    /// The value's bytes; none for a tombstone.
    pub value: Option<&'a [u8]>,
    message: &'a Message,
}

impl<'a> Fetched<'a> {
    /// The headers in their order.
    pub fn headers(&self) -> Headers<'a> {
        let mut list = ptr::null_mut();
        // SAFETY: the message is alive and read by one thread; the list that is written belongs to it,
        // or nothing is written.
        let code = unsafe { c::rd_kafka_message_headers(self.message.0.as_ptr(), &raw mut list) };
        let is_there = code == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR;
        let list = if is_there { NonNull::new(list) } else { None };
        Headers { list, at: 0, message: PhantomData }
    }
}

/// The headers of a record: names, and values where there are some. A name that is no UTF-8 is shown
/// with replacement characters.
#[derive(Clone, Debug)]
pub struct Headers<'a> {
    list: Option<NonNull<c::rd_kafka_headers_t>>,
    at: usize,
    message: PhantomData<&'a Message>,
}

impl<'a> Iterator for Headers<'a> {
    type Item = (Cow<'a, str>, Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        let list = self.list?;
        let (mut name, mut value, mut bytes) = (ptr::null(), ptr::null(), 0);
        // SAFETY: the list belongs to the message, which is borrowed for 'a; the three places take
        // what is written, which is nothing past the list's end.
        let code = unsafe {
            c::rd_kafka_header_get_all(
                list.as_ptr(),
                self.at,
                &raw mut name,
                &raw mut value,
                &raw mut bytes,
            )
        };
        if code != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            self.list = None;
            return None;
        }
        self.at = self.at.saturating_add(1);
        // SAFETY: the name is part of the list and ends with a NUL.
        let name = unsafe { CStr::from_ptr(name) }.to_string_lossy();
        // SAFETY: the value is part of the list, with that length, or null.
        let value = unsafe { bytes_at(value, bytes) };
        Some((name, value))
    }
}

/// The client could not fetch a partition, or reached its end where it was told to say so.
#[derive(Debug, thiserror::Error)]
#[error("{} [{partition}]: {message}", topic.as_deref().unwrap_or("no topic"))]
pub struct FetchError {
    /// The topic, when it is about one.
    pub topic: Option<Arc<str>>,
    /// The partition, or -1.
    pub partition: i32,
    /// The library's words.
    pub message: String,
    /// Its code.
    #[source]
    pub source: KafkaError,
}

/// A message of the library that is ours.
#[derive(Debug)]
pub(super) struct Message(NonNull<c::rd_kafka_message_t>);

impl Message {
    /// The messages behind these addresses. Those that are not asked for are freed, too.
    ///
    /// # Safety
    ///
    /// Each address must be that of a message which nobody else frees, and be used no more.
    pub(super) unsafe fn take(
        addresses: &[*mut c::rd_kafka_message_t],
    ) -> impl Iterator<Item = Self> {
        let messages = addresses.iter().filter_map(|address| NonNull::new(*address).map(Self));
        // Owned from here on: an iterator that is dropped half-way frees the rest.
        messages.collect::<Vec<_>>().into_iter()
    }

    fn get(&self) -> &c::rd_kafka_message_t {
        // SAFETY: the message is alive until it is dropped, and nobody writes to it.
        unsafe { self.0.as_ref() }
    }

    fn record<'a>(&'a self, topic: &'a Arc<str>) -> Fetched<'a> {
        let raw = self.get();
        let mut kind = c::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is alive; the place takes the kind.
        let timestamp = unsafe { c::rd_kafka_message_timestamp(raw, &raw mut kind) };
        Fetched {
            topic,
            partition: raw.partition,
            offset: raw.offset,
            timestamp: (timestamp >= 0).then_some(timestamp),
            // SAFETY: both belong to the message, with those lengths, or are null.
            key: unsafe { bytes_at(raw.key, raw.key_len) },
            // SAFETY: as above.
            value: unsafe { bytes_at(raw.payload, raw.len) },
            message: self,
        }
    }

    fn error(&self, topic: Option<&Arc<str>>) -> FetchError {
        let raw = self.get();
        // SAFETY: the message is alive; the text ends with a NUL, belongs to it or is static.
        let message = unsafe { c::rd_kafka_message_errstr(raw) };
        let message = NonNull::new(message.cast_mut()).map_or_else(String::new, |text| {
            // SAFETY: as above.
            unsafe { CStr::from_ptr(text.as_ptr()) }.to_string_lossy().into_owned()
        });
        let source = match raw.err {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__PARTITION_EOF => {
                KafkaError::PartitionEOF(raw.partition)
            }
            code => KafkaError::MessageConsumption(RDKafkaErrorCode::from(code)),
        };
        FetchError { topic: topic.map(Arc::clone), partition: raw.partition, message, source }
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        // SAFETY: the message is ours, and nothing borrows from it any more.
        unsafe { c::rd_kafka_message_destroy(self.0.as_ptr()) }
    }
}

/// # Safety
///
/// `start` must be null, or `bytes` bytes must be there, unchanged for 'a.
unsafe fn bytes_at<'a>(start: *const c_void, bytes: usize) -> Option<&'a [u8]> {
    let start = NonNull::new(start.cast_mut())?;
    // SAFETY: the caller vouches for the bytes.
    Some(unsafe { slice::from_raw_parts(start.cast().as_ptr(), bytes) })
}

/// What the reader last knew of the forwarding.
#[derive(Default)]
pub(super) struct Seen {
    version: u64,
    topics: Vec<Live>,
    /// Where the last record was, which is where the next one will be.
    last: usize,
}

impl Seen {
    pub(super) fn refresh(&mut self, forwarding: &Forwarding) {
        if let Some((version, topics)) = forwarding.newer_than(self.version) {
            *self = Self { version, topics, last: 0 };
        }
    }

    /// What to hand out for a message: nothing, when its partition is not read.
    pub(super) fn judge<'a>(
        &'a mut self,
        message: &'a Message,
    ) -> Option<Result<Fetched<'a>, FetchError>> {
        let raw = message.get();
        let is_error = raw.err != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR;
        if raw.rkt.is_null() {
            return is_error.then(|| Err(message.error(None)));
        }
        let is_at = |topic: &Live| topic.handle == raw.rkt;
        if !self.topics.get(self.last).is_some_and(is_at) {
            self.last = self.topics.iter().position(is_at)?;
        }
        let topic = self.topics.get(self.last)?;
        if !topic.partitions.contains(&raw.partition) {
            return None;
        }
        Some(if is_error {
            Err(message.error(Some(&topic.name)))
        } else {
            Ok(message.record(&topic.name))
        })
    }
}
