//! From a crash to the first poll: what disk and changelogs know, and whether they fit together.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::{Offset, TopicPartitionList};

use crate::clients::{Settings, Topics};
use crate::keeper::{Kept, Restored};
use crate::ledger::Balance;
use crate::pipeline::check_behind;

const OFFSETS_TIMEOUT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(100);

/// Committed offsets of the input; the transaction of a predecessor must have ended, or the broker
/// does not tell.
pub(crate) fn committed(
    settings: &Settings,
    consumer: &BaseConsumer,
    partitions: usize,
) -> Result<Vec<i64>> {
    let mut wanted = TopicPartitionList::new();
    for partition in 0..partitions {
        wanted.add_partition(&settings.input, i32::try_from(partition)?);
    }
    let found = consumer.committed_offsets(wanted, OFFSETS_TIMEOUT);
    let found = found.context("asking for committed offsets")?;
    let offset = |partition: usize| {
        let partition = i32::try_from(partition).ok()?;
        found.find_partition(&settings.input, partition)?.offset().to_raw()
    };
    // Negative says that nothing was committed.
    Ok((0..partitions).map(|partition| offset(partition).unwrap_or(0).max(0)).collect())
}

/// Brings `state` to what was committed, from where it stands: records read, and what was in them.
pub(crate) fn catch_up(
    settings: &Settings,
    topics: &Topics,
    state: &mut [Kept],
    committed: &[i64],
) -> Result<(u64, Vec<Restored>)> {
    let mut behind = Vec::new();
    for (partition, kept) in state.iter_mut().enumerate() {
        let offset = committed.get(partition).copied().unwrap_or(0);
        check_behind(kept, partition, offset)?;
        if kept.reach.source < offset {
            kept.reach.source = offset;
            behind.push(i32::try_from(partition)?);
        }
    }
    let (mut count, mut restored) = (0_u64, Vec::new());
    // One after the other: the end of a partition is told without the name of its topic.
    for topic in [&topics.balances, &topics.seen] {
        let mut assignment = TopicPartitionList::new();
        for partition in &behind {
            let reach = state.get(usize::try_from(*partition)?).map(|kept| kept.reach);
            let reach = reach.unwrap_or_default();
            let from = if topic == &topics.seen { reach.seen } else { reach.balances };
            assignment.add_partition_offset(topic, *partition, Offset::Offset(from))?;
        }
        count =
            count.saturating_add(read_to_end(settings, topics, &assignment, state, &mut restored)?);
    }
    Ok((count, restored))
}

fn read_to_end(
    settings: &Settings,
    topics: &Topics,
    assignment: &TopicPartitionList,
    state: &mut [Kept],
    restored: &mut Vec<Restored>,
) -> Result<u64> {
    let mut unread: HashSet<i32> = assignment
        .elements()
        .iter()
        .map(rdkafka::topic_partition_list::TopicPartitionListElem::partition)
        .collect();
    if unread.is_empty() {
        return Ok(0);
    }
    let consumer = settings.restorer()?;
    consumer.assign(assignment).context("reading a changelog")?;
    let mut count = 0_u64;
    while !unread.is_empty() {
        match consumer.poll(POLL) {
            None => {}
            Some(Ok(message)) => {
                count = count.saturating_add(1);
                apply(&message, topics, state, restored)?;
            }
            // A partition may come to its end more than once: ends are noted, not counted.
            Some(Err(KafkaError::PartitionEOF(partition))) => drop(unread.remove(&partition)),
            Some(Err(error)) => return Err(error).context("reading a changelog"),
        }
    }
    Ok(count)
}

fn apply(
    message: &BorrowedMessage<'_>,
    topics: &Topics,
    state: &mut [Kept],
    restored: &mut Vec<Restored>,
) -> Result<()> {
    let partition = usize::try_from(message.partition())?;
    let kept =
        state.get_mut(partition).context("a changelog has more partitions than its input")?;
    let value = message.payload().context("a changelog record has no value")?;
    let next = message.offset().saturating_add(1);
    if message.topic() == topics.seen {
        let (ids, _) = value.as_chunks::<{ size_of::<u128>() }>();
        let ids = ids.iter().map(|id| u128::from_le_bytes(*id));
        restored.extend(ids.clone().map(|id| Restored::Seen(partition, id)));
        kept.ledger.seen.extend(ids);
        kept.reach.seen = next;
    } else {
        let key = message.key().context("a changelog record has no key")?;
        let balance = Balance::decode(value).context("a changelog record holds no balance")?;
        let account: Arc<[u8]> = Arc::from(key);
        restored.push(Restored::Balance(partition, Arc::clone(&account), balance));
        kept.ledger.balances.insert(account, balance);
        kept.reach.balances = next;
    }
    Ok(())
}
