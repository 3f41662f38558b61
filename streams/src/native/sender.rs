//! Producing without a look-up of the topic for every record.

use std::{collections::HashMap, ffi::c_void, fmt, ptr, ptr::NonNull, sync::Arc};

use rdkafka::{
    bindings as c,
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseProducer, Producer as _, ProducerContext},
    types::RDKafkaRespErr,
};

use super::topic::Topic;

/// Topics that are looked for by address before one is looked up by name. A task writes to few.
const PROBES_MAX: usize = 8;

/// The library's number for "let the partitioner choose".
const PARTITION_UNASSIGNED: i32 = -1;

/// Stands for a key or value that is there and has no bytes: its address is never read.
const NO_BYTES: &[u8] = b"";

/// What the library would say without memory.
const NO_MEMORY: RDKafkaErrorCode = RDKafkaErrorCode::CriticalSystemResource;

/// Why a record was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ProduceError {
    /// The client holds as many records as it may; let it deliver some, then try again.
    #[error("the producer's queue is full")]
    QueueFull,
    /// It will not take this record.
    #[error("the producer does not take the record")]
    Refused(#[source] KafkaError),
}

/// Hands records to a producer.
///
/// The producer's own delivery callback stays in charge of reports: `opaque` comes back as its
/// `DeliveryOpaque`.
///
/// Gain: rdkafka's `send` makes a C string of the topic's name and has the library look the name up
/// under a lock, for every record; here both happen once per topic. A million records of 200 bytes took
/// 1.16 s of the whole process's processor time instead of 1.38 s (`examples/native_gain.rs`).
pub struct Sender<C: ProducerContext<DeliveryOpaque = usize>> {
    // before the producer: a handle has to go first
    topics: Vec<(Arc<str>, Topic)>,
    by_name: HashMap<Arc<str>, usize>,
    producer: Arc<BaseProducer<C>>,
}

impl<C: ProducerContext<DeliveryOpaque = usize>> fmt::Debug for Sender<C> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Sender").field("topics", &self.by_name.keys()).finish_non_exhaustive()
    }
}

impl<C: ProducerContext<DeliveryOpaque = usize>> Sender<C> {
    /// A sender to `producer`, which it keeps alive.
    pub fn new(producer: &Arc<BaseProducer<C>>) -> Self {
        Self { topics: Vec::new(), by_name: HashMap::new(), producer: Arc::clone(producer) }
    }

    /// The producer.
    pub fn producer(&self) -> &Arc<BaseProducer<C>> {
        &self.producer
    }

    /// Copies a record into the producer's queue; never waits.
    ///
    /// Without a partition, the topic's partitioner chooses. A timestamp is in milliseconds since the
    /// Unix epoch; without one, or with 0, the client's clock decides. `opaque` is what the delivery
    /// callback gets.
    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of a record, borrowed from many places"
    )]
    pub fn produce<'h>(
        &mut self,
        topic: &Arc<str>,
        partition: Option<i32>,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        timestamp: Option<i64>,
        headers: impl IntoIterator<Item = (&'h str, &'h [u8])>,
        opaque: usize,
    ) -> Result<(), ProduceError> {
        let client = self.producer.client().native_ptr();
        let topic = self.topic(topic).map_err(ProduceError::Refused)?;
        let headers = HeaderList::of(headers).map_err(ProduceError::Refused)?;
        let (key, key_bytes) = parts(key);
        let (value, value_bytes) = parts(value);
        // SAFETY: `self` keeps client and topic alive. The arguments are pairs of a tag and what the
        // library's manual demands for it, ended by END. Key and value are slices, valid for the
        // call, which copies them (COPY) and does not write to them. The opaque is a number that the
        // producer's callback turns back into the same number (`IntoOpaque for usize`), so there is
        // nothing it could free twice. Headers are null or a list that is ours.
        let code = unsafe {
            c::rd_kafka_producev(
                client,
                c::rd_kafka_vtype_t::RD_KAFKA_VTYPE_RKT,
                topic,
                c::rd_kafka_vtype_t::RD_KAFKA_VTYPE_PARTITION,
                partition.unwrap_or(PARTITION_UNASSIGNED),
                c::rd_kafka_vtype_t::RD_KAFKA_VTYPE_MSGFLAGS,
                c::RD_KAFKA_MSG_F_COPY,
                c::rd_kafka_vtype_t::RD_KAFKA_VTYPE_VALUE,
                value,
                value_bytes,
                c::rd_kafka_vtype_t::RD_KAFKA_VTYPE_KEY,
                key,
                key_bytes,
                c::rd_kafka_vtype_t::RD_KAFKA_VTYPE_OPAQUE,
                opaque as *mut c_void,
                c::rd_kafka_vtype_t::RD_KAFKA_VTYPE_TIMESTAMP,
                timestamp.unwrap_or(0),
                c::rd_kafka_vtype_t::RD_KAFKA_VTYPE_HEADERS,
                headers.0.map_or(ptr::null_mut(), NonNull::as_ptr),
                c::rd_kafka_vtype_t::RD_KAFKA_VTYPE_END,
            )
        };
        match code {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => {
                // the library owns them now
                std::mem::forget(headers);
                Ok(())
            }
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__QUEUE_FULL => Err(ProduceError::QueueFull),
            code => Err(refused(code)),
        }
    }

    fn topic(&mut self, name: &Arc<str>) -> Result<*mut c::rd_kafka_topic_t, KafkaError> {
        let mut probes = self.topics.iter().take(PROBES_MAX);
        if let Some((_, topic)) = probes.find(|(known, _)| Arc::ptr_eq(known, name)) {
            return Ok(topic.as_ptr());
        }
        let known = self.by_name.get(name).and_then(|index| self.topics.get(*index));
        if let Some((_, topic)) = known {
            return Ok(topic.as_ptr());
        }
        // SAFETY: `self.producer` keeps the client alive, and is dropped after the topics.
        let topic = unsafe { Topic::new(self.producer.client().native_ptr(), name) }?;
        let address = topic.as_ptr();
        self.by_name.insert(Arc::clone(name), self.topics.len());
        self.topics.push((Arc::clone(name), topic));
        Ok(address)
    }
}

fn refused(code: RDKafkaRespErr) -> ProduceError {
    ProduceError::Refused(KafkaError::MessageProduction(RDKafkaErrorCode::from(code)))
}

/// Address and length; null is "none", which is not the same as no bytes.
fn parts(bytes: Option<&[u8]>) -> (*mut c_void, usize) {
    match bytes {
        None => (ptr::null_mut(), 0),
        Some([]) => (NO_BYTES.as_ptr().cast_mut().cast(), 0),
        Some(bytes) => (bytes.as_ptr().cast_mut().cast(), bytes.len()),
    }
}

/// Headers on their way to the library; none for a record without any.
struct HeaderList(Option<NonNull<c::rd_kafka_headers_t>>);

impl HeaderList {
    fn of<'h>(headers: impl IntoIterator<Item = (&'h str, &'h [u8])>) -> Result<Self, KafkaError> {
        let mut headers = headers.into_iter().peekable();
        if headers.peek().is_none() {
            return Ok(Self(None));
        }
        // SAFETY: takes a number; a null answer is seen at once.
        let list = unsafe { c::rd_kafka_headers_new(headers.size_hint().0) };
        let list = NonNull::new(list).ok_or(KafkaError::MessageProduction(NO_MEMORY))?;
        let this = Self(Some(list));
        for (name, value) in headers {
            let (value, value_bytes) = parts(Some(value));
            // SAFETY: the list is ours and alive; name and value are slices with their lengths, which
            // are at most isize::MAX, and both are copied.
            let code = unsafe {
                c::rd_kafka_header_add(
                    list.as_ptr(),
                    name.as_ptr().cast(),
                    name.len().cast_signed(),
                    value,
                    value_bytes.cast_signed(),
                )
            };
            if code != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
                return Err(KafkaError::MessageProduction(RDKafkaErrorCode::from(code)));
            }
        }
        Ok(this)
    }
}

impl Drop for HeaderList {
    fn drop(&mut self) {
        if let Some(list) = self.0 {
            // SAFETY: the library did not take the list over, so it is ours to free, once.
            unsafe { c::rd_kafka_headers_destroy(list.as_ptr()) }
        }
    }
}
