//! Brings a task's state back from its changelogs, beside the stream thread.
//!
//! The order of it: committed offsets, the changelog's high watermark, then the changelog until the
//! reader's *position* reaches that (the last records may be markers), and only then the first
//! input. A changelog without a committed offset, or a committed offset outside what the topic
//! still holds, stops the application: guessing would lose or repeat money.

use std::{
    sync::{Arc, mpsc::SyncSender},
    time::Duration,
};

use bytes::Bytes;
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
};

use super::engine::{Owner, raw};
use crate::{record::Position, task::restore::is_committed};

/// How long one question to the broker may take before it is asked again.
const ASK_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a question is asked before the restore is given up.
const ASK_TRIES: u32 = 24;

/// Changes handed over at once.
const BATCH: usize = 500;

/// What there is to restore.
pub(super) struct Plan {
    pub(super) owner: Owner,
    pub(super) servers: String,
    pub(super) group_id: String,
    pub(super) inputs: Vec<Arc<str>>,
    /// Store, changelog, whether it is an effect ledger.
    pub(super) changelogs: Vec<(usize, Arc<str>, bool)>,
}

/// A change of a store: which one, key, value.
pub(super) type Restored = (usize, Bytes, Option<Bytes>);

/// What the restoring thread reports.
pub(super) enum Progress {
    /// Changes, in order.
    Changes(Owner, Vec<Restored>),
    /// All of it is handed over; per input the offset to start from and whether it is committed.
    Done(Owner, Vec<(i64, bool)>),
    /// It cannot be restored.
    Failed(Owner, RestoreError),
}

/// Why state cannot be restored.
#[derive(Debug, thiserror::Error)]
pub(super) enum RestoreError {
    #[error("Kafka does not answer while state is restored")]
    Kafka(#[from] KafkaError),
    #[error(
        "offset {committed} of `{topic}` partition {partition} is committed, but the topic holds \
         {low} to {high}: records were deleted before they were read, or the topic was made anew; \
         set the group's offset to what you decide, then start again"
    )]
    OutOfRange { topic: Arc<str>, partition: i32, committed: i64, low: i64, high: i64 },
    #[error(
        "changelog `{changelog}` partition {partition} holds state but group `{group_id}` has no \
         committed offset for `{topic}`: the state belongs to an unknown position; set the group's \
         offset, or delete the changelog and run `bankstream topology apply` to begin anew"
    )]
    WithoutOffset { changelog: Arc<str>, group_id: String, topic: Arc<str>, partition: i32 },
}

/// Restores and reports. Ends early when nobody listens any more.
pub(super) fn run(plan: &Plan, progress: &SyncSender<Progress>) {
    let owner = plan.owner;
    let report = match restore(plan, progress) {
        Ok(starts) => Progress::Done(owner, starts),
        Err(error) => Progress::Failed(owner, error),
    };
    if progress.send(report).is_err() {
        tracing::debug!("a restore ended after the thread had");
    }
}

fn restore(plan: &Plan, progress: &SyncSender<Progress>) -> Result<Vec<(i64, bool)>, RestoreError> {
    let partition = plan.owner.partition;
    let reader: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &plan.servers)
        .set("group.id", &plan.group_id)
        .set("client.id", format!("{}-restore", plan.group_id))
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("isolation.level", "read_committed")
        .set("allow.auto.create.topics", "false")
        .set("fetch.wait.max.ms", "50")
        .create()?;
    let mut asked = TopicPartitionList::new();
    for topic in &plan.inputs {
        asked.add_partition(topic, partition);
    }
    let committed = ask(|| reader.committed_offsets(asked.clone(), ASK_TIMEOUT))?;
    let mut starts = Vec::new();
    for topic in &plan.inputs {
        let found = committed.find_partition(topic, partition).map(|found| found.offset());
        let (low, high) = ask(|| reader.fetch_watermarks(topic, partition, ASK_TIMEOUT))?;
        starts.push(match found {
            Some(Offset::Offset(committed)) if committed < low || committed > high => {
                let topic = Arc::clone(topic);
                return Err(RestoreError::OutOfRange { topic, partition, committed, low, high });
            }
            Some(Offset::Offset(committed)) => (committed, true),
            _ => (low, false),
        });
    }
    for (store, changelog, is_ledger) in &plan.changelogs {
        let (low, high) = ask(|| reader.fetch_watermarks(changelog, partition, ASK_TIMEOUT))?;
        if high <= low {
            continue;
        }
        let missing = plan.inputs.iter().zip(&starts).find(|(_, (_, is_known))| !is_known);
        if let Some((topic, _)) = missing.filter(|_| !is_ledger) {
            return Err(RestoreError::WithoutOffset {
                changelog: Arc::clone(changelog),
                group_id: plan.group_id.clone(),
                topic: Arc::clone(topic),
                partition,
            });
        }
        let wanted = |source: &Position| {
            let found = plan.inputs.iter().position(|topic| *topic == source.topic);
            found.and_then(|input| starts.get(input)).map(|(offset, _)| *offset)
        };
        read(&reader, plan.owner, *store, changelog, *is_ledger, high, wanted, progress)?;
    }
    Ok(starts)
}

#[expect(clippy::too_many_arguments, reason = "one changelog: where, until where, what of it")]
fn read(
    reader: &BaseConsumer,
    owner: Owner,
    store: usize,
    changelog: &Arc<str>,
    is_ledger: bool,
    high: i64,
    committed: impl Fn(&Position) -> Option<i64>,
    progress: &SyncSender<Progress>,
) -> Result<(), RestoreError> {
    let partition = owner.partition;
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(changelog, partition, Offset::Beginning)?;
    reader.assign(&list)?;
    let mut batch = Vec::new();
    let mut is_heard = true;
    while is_heard {
        match reader.poll(Duration::from_millis(50)) {
            Some(Ok(message)) => {
                let record = raw(&message, Arc::clone(changelog));
                if let Some(key) = record.key
                    && (is_ledger || is_committed(&record.headers, &committed))
                {
                    batch.push((store, key, record.value));
                }
                let is_last = record.position.offset.saturating_add(1) >= high;
                if batch.len() >= BATCH || is_last {
                    let full = std::mem::take(&mut batch);
                    is_heard = progress.send(Progress::Changes(owner, full)).is_ok();
                }
                if is_last {
                    break;
                }
            }
            Some(Err(error)) => tracing::warn!(%error, changelog = &**changelog, "restore"),
            None => {
                let position = reader.position()?;
                let position = position.find_partition(changelog, partition);
                let is_at_end = position
                    .is_some_and(|at| matches!(at.offset(), Offset::Offset(at) if at >= high));
                if is_at_end {
                    let rest = std::mem::take(&mut batch);
                    if progress.send(Progress::Changes(owner, rest)).is_err() {
                        tracing::debug!("a restore ended after the thread had");
                    }
                    break;
                }
            }
        }
    }
    reader.unassign()?;
    Ok(())
}

/// Asks until there is an answer; a broker that restarts is waited for.
fn ask<T>(question: impl Fn() -> Result<T, KafkaError>) -> Result<T, KafkaError> {
    let mut tries = 0;
    loop {
        match question() {
            Err(error) if tries < ASK_TRIES => {
                tracing::warn!(%error, "restore: asking again");
                tries += 1;
            }
            answer => return answer,
        }
    }
}
