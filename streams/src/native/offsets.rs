//! Where partitions begin and end.

use std::{ffi::CString, time::Duration};

use rdkafka::{
    Offset, TopicPartitionList, bindings as c,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext},
    error::{KafkaError, RDKafkaErrorCode},
    types::RDKafkaRespErr,
};

/// The first offset and the one after the last of a partition, as the last answer to this
/// consumer's fetches said; none before there was one. No broker is asked.
///
/// The end is that of all records, those of open transactions included. Gain: a question to the
/// broker, which `fetch_watermarks` asks every time, so that lag can be known with every commit. Held
/// by `the_ends_of_a_partition_that_is_read_are_known_without_asking`.
pub fn watermarks<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partition: i32,
) -> Option<(i64, i64)> {
    let topic = CString::new(topic).ok()?;
    let (mut low, mut high) = (-1, -1);
    // SAFETY: the consumer is borrowed, so its client is alive; the name ends with a NUL; the two
    // places are ours and outlive the call.
    let code = unsafe {
        c::rd_kafka_get_watermark_offsets(
            consumer.client().native_ptr(),
            topic.as_ptr(),
            partition,
            &raw mut low,
            &raw mut high,
        )
    };
    let is_known = code == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR && low >= 0 && high >= 0;
    is_known.then_some((low, high))
}

/// The ends of partitions in their order: the offset after the last record, or, for a consumer with
/// `isolation.level=read_committed`, the first offset of a transaction that is still open.
///
/// One request to each broker that leads some of them. Any partition without an answer is an error.
/// The safe API does it: "the first offset at or after time -1" is how the protocol asks for the end.
pub fn end_offsets<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    partitions: &[(&str, i32)],
    timeout: Duration,
) -> Result<Vec<i64>, KafkaError> {
    if partitions.is_empty() {
        return Ok(Vec::new());
    }
    let mut asked = TopicPartitionList::with_capacity(partitions.len());
    for (topic, partition) in partitions {
        asked.add_partition_offset(topic, *partition, Offset::End)?;
    }
    let answers = consumer.offsets_for_times(asked, timeout)?;
    partitions
        .iter()
        .map(|(topic, partition)| {
            let found = answers.find_partition(topic, *partition);
            let found = found.ok_or(KafkaError::OffsetFetch(RDKafkaErrorCode::UnknownPartition))?;
            found.error()?;
            match found.offset() {
                Offset::Offset(end) => Ok(end),
                _ => Err(KafkaError::OffsetFetch(RDKafkaErrorCode::NoOffset)),
            }
        })
        .collect()
}
