//! Records from the consumer.

use std::sync::Arc;

use bytes::{BufMut as _, Bytes, BytesMut};
use rdkafka::{Offset, consumer::Consumer as _};

use super::Engine;
use crate::{
    native::{self, Fetched},
    record::{Headers, Position, RawRecord, Timestamp},
    runtime::group::Consumer,
    task::Event,
};

/// Bytes taken at once for the records of a batch: one allocation for some hundred of them. Below the
/// 64 KiB from which on glibc tidies its heap with every free (`malloc_consolidate`, 3 % of a ledger).
const ARENA_BYTES: usize = 32 * 1024;

impl Engine {
    /// A record from the consumer.
    pub(in crate::runtime) fn deliver(
        &mut self,
        fetched: &Fetched<'_>,
        consumer: &Consumer,
        now: Timestamp,
    ) {
        let reader = self.readers.iter().find(|(topic, ..)| *topic == *fetched.topic);
        let Some((topic, sub, input)) = reader.map(|(t, sub, input)| (Arc::clone(t), *sub, *input))
        else {
            return;
        };
        let Some(running) = self.tasks.get_mut(&(sub, fetched.partition)) else { return };
        let next = running.task.next_offset(input);
        if let Some(next) = next.filter(|next| *next != fetched.offset)
            && let Some(message) = unexpected(fetched, next, consumer)
        {
            self.stop("consumer", &message);
            return;
        }
        let record = RawRecord {
            position: Position { topic, partition: fetched.partition, offset: fetched.offset },
            timestamp: fetched.timestamp.unwrap_or_default(),
            key: fetched.key.map(|key| copy(&mut self.arena, key)),
            value: fetched.value.map(|value| copy(&mut self.arena, value)),
            headers: headers(fetched),
        };
        running.task.handle(Event::Fetched { input, record }, now);
    }

    /// Tells the tasks how far the client has read. Between two batches everything it has read was
    /// delivered, so what was not is no record: the marker of a transaction, or what an aborted one
    /// left behind.
    pub(in crate::runtime) fn pass_what_is_no_record(&mut self, consumer: &Consumer) {
        let Ok(positions) = consumer.position() else { return };
        for element in positions.elements() {
            let Offset::Offset(offset) = element.offset() else { continue };
            let reader = self.readers.iter().find(|(topic, ..)| **topic == *element.topic());
            let Some((sub, input)) = reader.map(|(_, sub, input)| (*sub, *input)) else { continue };
            if let Some(running) = self.tasks.get_mut(&(sub, element.partition())) {
                running.task.passed(input, offset);
            }
        }
    }

    /// The offset a partition's task expects next; `None` before it has begun.
    pub(in crate::runtime) fn next_offset(&self, topic: &str, partition: i32) -> Option<i64> {
        let (_, sub, input) = self.readers.iter().find(|(known, ..)| **known == *topic)?;
        self.tasks.get(&(*sub, partition))?.task.next_offset(*input)
    }
}

/// What is wrong with a record that is not the next one, if anything. Compaction and transactions
/// leave gaps; records that were deleted before they were read, or a topic that was made anew,
/// must not go unnoticed.
fn unexpected(fetched: &Fetched<'_>, next: i64, consumer: &Consumer) -> Option<String> {
    let (topic, partition, offset) = (fetched.topic, fetched.partition, fetched.offset);
    let (low, high) = native::watermarks(consumer, topic, partition)?;
    if offset > next && low > next {
        return Some(format!(
            "records {next} to {} of `{topic}` partition {partition} were deleted before they were \
             read: the topic's retention is shorter than this application was behind; repair \
             what they would have done (`bankstream run APP --run-id ID`, or the source), then start again with \
             the group's offset at {low}",
            low.saturating_sub(1)
        ));
    }
    if offset < next && high < next {
        return Some(format!(
            "`{topic}` partition {partition} ends at {high}, but offset {next} was read before: the \
             topic was made anew or truncated; set the group's offset to what you decide, then \
             start again"
        ));
    }
    None
}

fn copy(arena: &mut BytesMut, bytes: &[u8]) -> Bytes {
    if arena.capacity() < bytes.len() {
        arena.reserve(bytes.len().max(ARENA_BYTES));
    }
    arena.put_slice(bytes);
    arena.split().freeze()
}

fn headers(fetched: &Fetched<'_>) -> Headers {
    let mut headers = Headers::new();
    for (name, value) in fetched.headers() {
        headers.push(&*name, value.unwrap_or_default().to_vec());
    }
    headers
}
