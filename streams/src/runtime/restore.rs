//! Brings a task's state back from its changelogs, beside the stream thread.
//!
//! The order of it: committed offsets, the changelog's high watermark, then the changelog until the
//! reader's *position* reaches that (the last records may be markers), and only then the first
//! input. A changelog without a committed offset, or a committed offset outside what the topic
//! still holds, stops the application: guessing would lose or repeat money.

mod pace;

use std::{
    sync::{Arc, mpsc::SyncSender},
    time::Duration,
};

use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
    message::{BorrowedMessage, Headers as _},
};

pub(super) use pace::{Pace, Reached};

use super::engine::{Beginning, Owner};
use crate::{
    record::{Headers, Position, RawRecord},
    task::{
        Saved,
        commit_point::CommitPoint,
        restore::{ChangelogError, entries},
    },
    topology::StoreKind,
};

/// How long one question to the broker may take before it is asked again.
const ASK_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a question is asked before the restore is given up, and how long between. A broker that
/// starts may refuse at once what it will answer a minute later: together at least five minutes.
const ASK_TRIES: u32 = 300;
const ASK_PAUSE: Duration = Duration::from_secs(1);

/// Changes handed over at once.
const BATCH: usize = 2_000;

/// What there is to restore.
pub(super) struct Plan {
    pub(super) owner: Owner,
    pub(super) servers: String,
    pub(super) group_id: String,
    pub(super) inputs: Vec<Arc<str>>,
    /// Store, changelog, what is in it.
    pub(super) changelogs: Vec<(usize, Arc<str>, StoreKind)>,
    /// What the task's directory holds.
    pub(super) beginning: Beginning,
}

/// Where a task goes on.
pub(super) struct Restored {
    /// Per input: the point to go on from, and whether it is committed.
    pub(super) starts: Vec<(CommitPoint, bool)>,
    /// Per store: the end of its changelog, which is restored.
    pub(super) ends: Vec<(usize, i64)>,
    /// Keys whose newest change in the changelog was left out.
    pub(super) left_out: Vec<(usize, bytes::Bytes)>,
}

/// What the restoring thread reports.
pub(super) enum Progress {
    /// Changes, in order, and how many offsets are still to be read.
    Changes(Owner, Vec<Saved>, i64),
    /// All of it is handed over.
    Done(Owner, Restored),
    /// The directory's state does not fit the changelogs, for this reason.
    Stale(Owner, String),
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
    #[error(
        "the state directory reflects `{topic}` partition {partition} up to offset {kept}, but group \
         `{group_id}` has {}: the group's offset was set back or deleted, and state that has seen \
         records cannot see them again; begin anew (delete the state directory, the changelogs and \
         the group's offsets, then `bankstream topology apply`), or put the offset back",
        committed.map_or_else(|| "no committed offset".to_owned(), |at| format!("committed {at}"))
    )]
    StoreAhead {
        topic: Arc<str>,
        partition: i32,
        group_id: String,
        kept: i64,
        committed: Option<i64>,
    },
    #[error(
        "changelog `{changelog}` partition {partition} ends at {high}, but the state directory has it \
         up to {kept}: the changelog was made anew or has lost its end, and the directory alone has \
         that state; put the changelog back, or begin anew (delete the state directory, the \
         changelogs and the group's offsets, then `bankstream topology apply`)"
    )]
    ChangelogBehind { changelog: Arc<str>, partition: i32, kept: i64, high: i64 },
    #[error(transparent)]
    Changelog(#[from] ChangelogError),
}

/// What the committed offsets and the changelogs say of the directory's state.
enum Found {
    Restored(Restored),
    Stale(String),
}

/// Restores and reports. Ends early when nobody listens any more.
pub(super) fn run(plan: &Plan, progress: &SyncSender<Progress>) {
    let owner = plan.owner;
    let report = match restore(plan, progress) {
        Ok(Found::Restored(restored)) => Progress::Done(owner, restored),
        Ok(Found::Stale(why)) => Progress::Stale(owner, why),
        Err(error) => Progress::Failed(owner, error),
    };
    if progress.send(report).is_err() {
        tracing::debug!("a restore ended after the thread had");
    }
}

fn restore(plan: &Plan, progress: &SyncSender<Progress>) -> Result<Found, RestoreError> {
    let partition = plan.owner.partition;
    let reader = reader(plan, "read_committed")?;
    // An open transaction hides what others have committed behind it: to readers of committed records a
    // partition ends in front of it. The end that counts is the real one, which is waited for.
    let whole = self::reader(plan, "read_uncommitted")?;
    let starts = starts(&reader, plan)?;
    check_directory(plan, &starts)?;
    let mut restored = Restored { starts, ends: Vec::new(), left_out: Vec::new() };
    let mut readings = Vec::new();
    for (store, changelog, kind) in &plan.changelogs {
        let (low, high) = ask(|| whole.fetch_watermarks(changelog, partition, ASK_TIMEOUT))?;
        let kept = plan.beginning.positions.get(*store).copied().flatten();
        if let Some(kept) = kept {
            if kept > high {
                let changelog = Arc::clone(changelog);
                return Err(RestoreError::ChangelogBehind { changelog, partition, kept, high });
            }
            if let Some(why) = stale(plan, changelog, *kind, kept, low, high) {
                return Ok(Found::Stale(why));
            }
        }
        restored.ends.push((*store, high));
        let from = kept.unwrap_or(low).max(low);
        if high <= from {
            continue;
        }
        let missing = plan.inputs.iter().zip(&restored.starts).find(|(_, (_, known))| !known);
        if let Some((topic, _)) = missing.filter(|_| *kind != StoreKind::Ledger) {
            return Err(RestoreError::WithoutOffset {
                changelog: Arc::clone(changelog),
                group_id: plan.group_id.clone(),
                topic: Arc::clone(topic),
                partition,
            });
        }
        readings.push(Reading {
            store: *store,
            changelog: Arc::clone(changelog),
            kind: *kind,
            from,
            high,
            behind: 0,
        });
    }
    let mut behind = 0_i64;
    for reading in readings.iter_mut().rev() {
        reading.behind = behind;
        behind = behind.saturating_add(reading.high.saturating_sub(reading.from));
    }
    for reading in &readings {
        if !read(&reader, plan, reading, &mut restored, progress)? {
            break;
        }
    }
    Ok(Found::Restored(restored))
}

fn reader(plan: &Plan, isolation: &str) -> Result<BaseConsumer, KafkaError> {
    ClientConfig::new()
        .set("bootstrap.servers", &plan.servers)
        .set("group.id", &plan.group_id)
        .set("client.id", format!("{}-restore", plan.group_id))
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("isolation.level", isolation)
        .set("allow.auto.create.topics", "false")
        .set("fetch.wait.max.ms", "20")
        .set("fetch.queue.backoff.ms", "5")
        .create()
}

/// Where each input goes on: its committed offset, or the topic's beginning. The answer is stable: a
/// transaction that is still open keeps the question waiting.
fn starts(reader: &BaseConsumer, plan: &Plan) -> Result<Vec<(CommitPoint, bool)>, RestoreError> {
    let partition = plan.owner.partition;
    let mut asked = TopicPartitionList::new();
    for topic in &plan.inputs {
        asked.add_partition(topic, partition);
    }
    let committed = ask(|| reader.committed_offsets(asked.clone(), ASK_TIMEOUT))?;
    let mut starts = Vec::new();
    for topic in &plan.inputs {
        let found = committed.find_partition(topic, partition);
        let offset =
            found.as_ref().map(rdkafka::topic_partition_list::TopicPartitionListElem::offset);
        let (low, high) = ask(|| reader.fetch_watermarks(topic, partition, ASK_TIMEOUT))?;
        starts.push(match offset {
            Some(Offset::Offset(committed)) if committed < low || committed > high => {
                let topic = Arc::clone(topic);
                return Err(RestoreError::OutOfRange { topic, partition, committed, low, high });
            }
            Some(Offset::Offset(committed)) => {
                let metadata = found.as_ref().map(|found| found.metadata().to_owned());
                (CommitPoint::read(committed, &metadata.unwrap_or_default()), true)
            }
            _ => (CommitPoint { offset: low, ..CommitPoint::default() }, false),
        });
    }
    Ok(starts)
}

/// A directory may be behind what is committed, and never ahead of it.
fn check_directory(plan: &Plan, starts: &[(CommitPoint, bool)]) -> Result<(), RestoreError> {
    let kept = plan.beginning.sources.iter().flatten();
    for ((topic, kept), (start, is_committed)) in plan.inputs.iter().zip(kept).zip(starts) {
        let Some(kept) = kept else { continue };
        if *is_committed && start.offset >= *kept {
            continue;
        }
        return Err(RestoreError::StoreAhead {
            topic: Arc::clone(topic),
            partition: plan.owner.partition,
            group_id: plan.group_id.clone(),
            kept: *kept,
            committed: is_committed.then_some(start.offset),
        });
    }
    Ok(())
}

/// Why a changelog cannot bring the directory's state up to date, if it cannot.
fn stale(
    plan: &Plan,
    changelog: &str,
    kind: StoreKind,
    kept: i64,
    low: i64,
    high: i64,
) -> Option<String> {
    // Ids of a dedupe store are deleted when their time is over; nothing else may be missing.
    if kept < low && !matches!(kind, StoreKind::Seen { .. }) {
        return Some(format!("changelog `{changelog}` begins at {low}, after {kept}"));
    }
    (plan.beginning.is_old && kept < high).then(|| {
        format!("the directory is so old that deletions may be gone from changelog `{changelog}`")
    })
}

/// One changelog: where from, where to.
struct Reading {
    store: usize,
    changelog: Arc<str>,
    kind: StoreKind,
    from: i64,
    high: i64,
    /// Offsets of the changelogs that are read after it.
    behind: i64,
}

/// Reads a changelog until the reader's position reaches its end; `false` when nobody listens.
fn read(
    reader: &BaseConsumer,
    plan: &Plan,
    reading: &Reading,
    restored: &mut Restored,
    progress: &SyncSender<Progress>,
) -> Result<bool, RestoreError> {
    let partition = plan.owner.partition;
    let Reading { store, changelog, kind, from, high, behind } = reading;
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(changelog, partition, Offset::Offset(*from))?;
    reader.assign(&list)?;
    let Restored { starts, left_out, .. } = restored;
    let is_handled = |source: &Position| {
        let found = plan.inputs.iter().position(|topic| *topic == source.topic);
        let start = found.and_then(|input| starts.get(input));
        start.is_some_and(|(point, _)| point.covers(source.offset))
    };
    let mut batch = Vec::new();
    let mut skipped = std::collections::HashSet::new();
    let mut is_failing = false;
    let mut next = *from;
    let is_heard = loop {
        let polled = reader.poll(Duration::from_millis(50));
        let was_failing = std::mem::replace(&mut is_failing, matches!(polled, Some(Err(_))));
        let is_at_end = match polled {
            Some(Ok(message)) => {
                let record = raw(&message, Arc::clone(changelog));
                entries(&record, *kind, is_handled, |entry| {
                    if entry.is_committed {
                        skipped.remove(&entry.key);
                        batch.push(Saved { store: *store, key: entry.key, value: entry.value });
                    } else if *kind == StoreKind::State {
                        skipped.insert(entry.key);
                    }
                })?;
                next = record.position.offset.saturating_add(1);
                next >= *high
            }
            Some(Err(error)) => {
                // A broker that is away is told of many times a second.
                if !was_failing {
                    tracing::warn!(%error, changelog = &**changelog, partition, "restore");
                }
                false
            }
            None => {
                // The last records may be markers, which only the position tells of.
                let position = reader.position()?;
                let position = position.find_partition(changelog, partition);
                position.is_some_and(|at| matches!(at.offset(), Offset::Offset(at) if at >= *high))
            }
        };
        if batch.len() >= BATCH || is_at_end {
            let full = std::mem::take(&mut batch);
            let left = if is_at_end { 0 } else { high.saturating_sub(next) };
            let left = left.saturating_add(*behind);
            if progress.send(Progress::Changes(plan.owner, full, left)).is_err() {
                break false;
            }
        }
        if is_at_end {
            break true;
        }
    };
    left_out.extend(skipped.into_iter().map(|key| (*store, key)));
    reader.unassign()?;
    Ok(is_heard)
}

/// A record of its own from one of the client's.
fn raw(message: &BorrowedMessage<'_>, topic: Arc<str>) -> RawRecord {
    let mut headers = Headers::new();
    for header in message.headers().into_iter().flat_map(|headers| headers.iter()) {
        headers.push(header.key, header.value.unwrap_or_default().to_vec());
    }
    RawRecord {
        position: Position { topic, partition: message.partition(), offset: message.offset() },
        timestamp: message.timestamp().to_millis().unwrap_or_default(),
        key: message.key().map(|key| key.to_vec().into()),
        value: message.payload().map(|value| value.to_vec().into()),
        headers,
    }
}

/// Asks until there is an answer; a broker that restarts is waited for.
fn ask<T>(question: impl Fn() -> Result<T, KafkaError>) -> Result<T, KafkaError> {
    let mut tries = 0;
    loop {
        match question() {
            Err(error) if tries < ASK_TRIES => {
                if tries == 0 {
                    tracing::warn!(%error, "restore: asking until there is an answer");
                }
                tries += 1;
                #[expect(clippy::disallowed_methods, reason = "a thread of its own")]
                std::thread::sleep(ASK_PAUSE);
            }
            answer => return answer,
        }
    }
}
