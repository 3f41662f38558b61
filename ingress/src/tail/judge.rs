//! Whether a snapshot of event ids is of this topic and complete enough to start from.

use schemas::topics::WEBHOOKS_RECEIVED;

use super::progress::Start;
use crate::dedupe::snapshot::{Header, Position};

/// A clock that was set right may have gone back so far, milliseconds: an hour. Ids from further
/// ahead would be remembered for as much too long.
const AHEAD_MS_MAX: i64 = 3_600_000;

/// A partition as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) partition: i32,
    /// The offset of the first record that is still there, and of the next that will come.
    pub(super) low: i64,
    pub(super) high: i64,
}

/// What a snapshot must fit.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// The cluster's id.
    pub(super) cluster: String,
    pub(super) now: i64,
    /// The time from which on events must be known, milliseconds.
    pub(super) since: i64,
    pub(super) ids_max: usize,
    pub(super) partitions: Vec<Bounds>,
}

/// Why a snapshot is not used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum Unfit {
    #[error("it is of the cluster `{0}`")]
    Cluster(String),
    #[error("it is of the topic `{0}`")]
    Topic(String),
    #[error("the topic has other partitions than it knew")]
    Partitions,
    #[error(
        "it has read partition {partition} up to {next}, which ends at {high}: the topic was made anew or cut off"
    )]
    BeyondEnd { partition: i32, next: i64, high: i64 },
    #[error(
        "it has read partition {partition} up to {next}, which begins at {low} now: it is too old"
    )]
    BelowStart { partition: i32, next: i64, low: i64 },
    #[error("it was written {0} ms ahead of this machine's clock")]
    Future(i64),
    #[error("it does not reach back far enough: a source's `dedupe_window` was made longer")]
    Window,
    #[error("it was written with room for {0} ids, and some were forgotten for want of it")]
    Room(usize),
    #[error("it holds {0} ids, which is more than INGRESS_DEDUPE_IDS_MAX")]
    Ids(u64),
}

/// Where to start reading after the snapshot with this header and so many ids.
pub(super) fn judge(header: &Header, ids: u64, wanted: &Wanted) -> Result<Vec<Start>, Unfit> {
    if header.cluster != wanted.cluster {
        return Err(Unfit::Cluster(header.cluster.clone()));
    }
    if header.topic != WEBHOOKS_RECEIVED {
        return Err(Unfit::Topic(header.topic.clone()));
    }
    let ahead = header.written_at.saturating_sub(wanted.now);
    if ahead > AHEAD_MS_MAX {
        return Err(Unfit::Future(ahead));
    }
    if header.since > wanted.since {
        return Err(Unfit::Window);
    }
    let frame = header.frame;
    if frame.evicted_to > wanted.since && frame.ids_max < wanted.ids_max {
        return Err(Unfit::Room(frame.ids_max));
    }
    if usize::try_from(ids).map_or(true, |ids| ids > wanted.ids_max) {
        return Err(Unfit::Ids(ids));
    }
    if header.positions.len() != wanted.partitions.len() {
        return Err(Unfit::Partitions);
    }
    wanted.partitions.iter().map(|bounds| start(&header.positions, *bounds)).collect()
}

fn start(positions: &[Position], bounds: Bounds) -> Result<Start, Unfit> {
    let Bounds { partition, low, high } = bounds;
    let position = positions.iter().find(|position| position.partition == partition);
    let Position { next, last, .. } = position.ok_or(Unfit::Partitions)?.clone();
    if next > high {
        return Err(Unfit::BeyondEnd { partition, next, high });
    }
    if next < low {
        return Err(Unfit::BelowStart { partition, next, low });
    }
    // The last record is read once more, if it is still there: no other topic has it at its place.
    let is_there = last.as_ref().is_some_and(|last| last.offset >= low);
    let first = last.as_ref().filter(|_| is_there).map_or(next, |last| last.offset);
    let (proof, last) = if is_there { (last, None) } else { (None, last) };
    Ok(Start { partition, first, end: high, proof, last })
}

#[cfg(test)]
mod tests;
