//! Brings a task's state back from its changelogs, beside the stream thread.
//!
//! The order of it: committed offsets, the changelog's high watermark, then the changelog until the
//! reader's *position* reaches that (the last records may be markers), and only then the first
//! input. A changelog without a committed offset, or a committed offset outside what the topic
//! still holds, stops the application: guessing would lose or repeat money. An open transaction is
//! waited for, and one that has lost its end stops the application too.

mod asking;
mod pace;
mod reading;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
    mpsc::SyncSender,
};

use rdkafka::{Offset, consumer::Consumer as _, error::KafkaError};

pub(super) use pace::{Pace, Reached};

use super::engine::{Beginning, Owner};
use crate::{
    task::{Saved, commit_point::CommitPoint, restore::ChangelogError},
    topology::StoreKind,
};

use asking::{ASK_TIMEOUT, Clients, ask};
use reading::{Reading, read};

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
    /// Unset when its partition has gone.
    pub(super) is_wanted: Arc<AtomicBool>,
}

impl Plan {
    /// Fails when nobody waits for it any more. A transaction may hold it up for minutes, and the
    /// partition may be somebody else's by then.
    fn check_wanted(&self) -> Result<(), RestoreError> {
        if self.is_wanted.load(Ordering::Relaxed) { Ok(()) } else { Err(RestoreError::Unheard) }
    }
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
    /// Changes, in order, and how many offsets are still to be read. None now and then while nothing
    /// comes, to find out whether anybody listens.
    Changes(Owner, Vec<Saved>, i64),
    /// Nothing comes, for this reason.
    Waits(Owner, String),
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
    #[error("nobody waits for this restore any more")]
    Unheard,
    #[error(
        "Kafka has not answered for minutes while state was restored; see whether its brokers run and \
         are reached from here, then start again"
    )]
    Kafka(#[from] KafkaError),
    #[error(
        "the committed offsets of group `{group_id}` for {topics} partition {partition} have waited \
         for an open transaction for longer than brokers let one be open: a transaction has lost its \
         end; `bankstream transactions list` shows it, and `bankstream transactions end` ends it as it \
         was decided (docs/OPERATIONS.md, \"A transaction is open\"); then start again"
    )]
    HeldUp { group_id: String, topics: String, partition: i32 },
    #[error(
        "changelog `{changelog}` partition {partition} has been held up at offset {at} by an open \
         transaction for longer than brokers let one be open: a transaction has lost its end; \
         `bankstream transactions list` shows it, and `bankstream transactions end` ends it as it was \
         decided (docs/OPERATIONS.md, \"A transaction is open\"); then start again"
    )]
    Hanging { changelog: Arc<str>, partition: i32, at: i64 },
    #[error(
        "changelog `{changelog}` has {count} partitions, and partition {partition} of the input is read: \
         the input was given more partitions, so its keys lie elsewhere now and state does not follow \
         them; begin anew (delete the state directory, the changelogs and the group's offsets, then \
         `bankstream topology apply`)"
    )]
    NoPartition { changelog: Arc<str>, count: usize, partition: i32 },
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
    let clients = Clients::new(&plan.servers, &plan.group_id)?;
    let starts = starts(&clients, plan, progress)?;
    check_directory(plan, &starts)?;
    let mut restored = Restored { starts, ends: Vec::new(), left_out: Vec::new() };
    let mut readings = Vec::new();
    for (store, changelog, kind) in &plan.changelogs {
        let (low, high) = bounds(&clients, changelog, plan)?;
        let kept = plan.beginning.positions.get(*store).copied().flatten();
        if let Some(kept) = kept
            && let Some(why) = stale(plan, changelog, *kind, kept, (low, high))?
        {
            return Ok(Found::Stale(why));
        }
        restored.ends.push((*store, high));
        let from = kept.unwrap_or(low).max(low);
        if high <= from {
            continue;
        }
        check_offsets(plan, changelog, *kind, &restored.starts)?;
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
        read(&clients, plan, reading, &mut restored, progress)?;
    }
    Ok(Found::Restored(restored))
}

/// Where a changelog begins and ends.
///
/// An open transaction hides what others have committed behind it: to readers of committed records a
/// partition ends in front of it. The end that counts is the real one, which is waited for.
fn bounds(
    clients: &Clients,
    changelog: &Arc<str>,
    plan: &Plan,
) -> Result<(i64, i64), RestoreError> {
    let partition = plan.owner.partition;
    // Asked by the client that will read: one that does not know the topic when it is assigned to it
    // fetches nothing for a second.
    let metadata = ask(plan, || clients.decided.fetch_metadata(Some(changelog), ASK_TIMEOUT))?;
    let count = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
    // A topic that is not known at all may be one that its broker has not told everybody of yet.
    if count > 0 && usize::try_from(partition).is_ok_and(|partition| partition >= count) {
        let changelog = Arc::clone(changelog);
        return Err(RestoreError::NoPartition { changelog, count, partition });
    }
    ask(plan, || clients.whole.fetch_watermarks(changelog, partition, ASK_TIMEOUT))
}

/// Where each input goes on: its committed offset, or the topic's beginning. The answer is stable: a
/// transaction that is still open keeps the question waiting.
fn starts(
    clients: &Clients,
    plan: &Plan,
    progress: &SyncSender<Progress>,
) -> Result<Vec<(CommitPoint, bool)>, RestoreError> {
    let partition = plan.owner.partition;
    let committed = clients.committed(plan, progress)?;
    let mut starts = Vec::new();
    for topic in &plan.inputs {
        let found = committed.find_partition(topic, partition);
        let offset =
            found.as_ref().map(rdkafka::topic_partition_list::TopicPartitionListElem::offset);
        let (low, high) =
            ask(plan, || clients.decided.fetch_watermarks(topic, partition, ASK_TIMEOUT))?;
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

/// State in a changelog needs the offsets it belongs to. An effect ledger is true whatever is committed.
fn check_offsets(
    plan: &Plan,
    changelog: &Arc<str>,
    kind: StoreKind,
    starts: &[(CommitPoint, bool)],
) -> Result<(), RestoreError> {
    let missing = plan.inputs.iter().zip(starts).find(|(_, (_, is_committed))| !is_committed);
    let Some((topic, _)) = missing.filter(|_| kind != StoreKind::Ledger) else { return Ok(()) };
    Err(RestoreError::WithoutOffset {
        changelog: Arc::clone(changelog),
        group_id: plan.group_id.clone(),
        topic: Arc::clone(topic),
        partition: plan.owner.partition,
    })
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
    changelog: &Arc<str>,
    kind: StoreKind,
    kept: i64,
    (low, high): (i64, i64),
) -> Result<Option<String>, RestoreError> {
    if kept > high {
        let (changelog, partition) = (Arc::clone(changelog), plan.owner.partition);
        return Err(RestoreError::ChangelogBehind { changelog, partition, kept, high });
    }
    // Ids of a dedupe store are deleted when their time is over; nothing else may be missing.
    if kept < low && !matches!(kind, StoreKind::Seen { .. }) {
        return Ok(Some(format!("changelog `{changelog}` begins at {low}, after {kept}")));
    }
    Ok((plan.beginning.is_old && kept < high).then(|| {
        format!("the directory is so old that deletions may be gone from changelog `{changelog}`")
    }))
}

#[cfg(test)]
mod tests {
    use super::{KafkaError, RestoreError};

    #[test]
    fn every_restore_that_fails_says_what_to_do() {
        let (topic, changelog) = (|| "in".into(), || "app-sums-changelog".into());
        let (group_id, partition) = (|| "app".to_owned(), 3);
        let ended =
            "`bankstream transactions list` shows it, and `bankstream transactions end` ends";
        let anew = "begin anew (delete the state directory, the changelogs and the group's offsets";
        let check = |error: RestoreError, words: &str| {
            let said = error.to_string();
            assert!(said.contains(words), "`{words}` is not in: {said}");
        };
        check(KafkaError::Canceled.into(), "see whether its brokers run and are reached from here");
        let topics = "`in`".to_owned();
        check(RestoreError::HeldUp { group_id: group_id(), topics, partition }, ended);
        check(RestoreError::Hanging { changelog: changelog(), partition, at: 7 }, ended);
        check(RestoreError::NoPartition { changelog: changelog(), count: 3, partition }, anew);
        check(
            RestoreError::ChangelogBehind { changelog: changelog(), partition, kept: 9, high: 7 },
            anew,
        );
        check(
            RestoreError::StoreAhead {
                topic: topic(),
                partition,
                group_id: group_id(),
                kept: 9,
                committed: None,
            },
            anew,
        );
        check(
            RestoreError::WithoutOffset {
                changelog: changelog(),
                group_id: group_id(),
                topic: topic(),
                partition,
            },
            "set the group's offset, or delete the changelog",
        );
        check(
            RestoreError::OutOfRange { topic: topic(), partition, committed: 5, low: 7, high: 9 },
            "set the group's offset to what you decide, then start again",
        );
    }
}
