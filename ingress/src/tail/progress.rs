//! How far each partition was read, and what was read of it before it counts as known.

use crate::dedupe::snapshot::{Mark, Position};

/// One partition from where reading starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) partition: i32,
    /// The offset that is read first.
    pub(super) first: i64,
    /// The end when reading started: what is before it must be known before anything is taken.
    pub(super) end: i64,
    /// The record that a snapshot saw at `first`: another one there means another topic.
    pub(super) proof: Option<Mark>,
    /// The last record read before, which is not there to be read again.
    pub(super) last: Option<Mark>,
}

/// What a record that was read is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// One to be remembered.
    New,
    /// The one that the snapshot ended with: its event is in it.
    Known,
    /// Another one than the snapshot ended with: the snapshot is of another topic.
    Foreign,
}

#[derive(Debug)]
struct Place {
    start: Start,
    next: i64,
    last: Option<Mark>,
    is_reached: bool,
}

/// All partitions.
#[derive(Debug, Default)]
pub(super) struct Progress(Vec<Place>);

impl Progress {
    pub(super) fn new(starts: Vec<Start>) -> Self {
        let place = |mut start: Start| {
            let is_reached = start.first >= start.end && start.proof.is_none();
            let (next, last) = (start.first, start.last.take());
            Place { start, next, last, is_reached }
        };
        Self(starts.into_iter().map(place).collect())
    }

    /// Partitions whose end at the start is still to be reached.
    pub(super) fn missing(&self) -> usize {
        self.0.iter().filter(|place| !place.is_reached).count()
    }

    /// Notes that a record was read.
    pub(super) fn read(&mut self, partition: i32, record: Mark) -> Step {
        let Some(place) = self.place(partition) else { return Step::New };
        let step = match place.start.proof.take() {
            Some(proof) if proof != record => return Step::Foreign,
            Some(_) => Step::Known,
            None => Step::New,
        };
        place.next = record.offset.saturating_add(1);
        place.last = Some(record);
        place.is_reached |= place.next >= place.start.end;
        step
    }

    /// Notes that there is nothing more in a partition now, whatever offset it ends at: the last
    /// ones may be marks of transactions, which no reader is given.
    pub(super) fn ended(&mut self, partition: i32) -> Step {
        let Some(place) = self.place(partition) else { return Step::New };
        if place.start.proof.is_some() {
            return Step::Foreign;
        }
        place.is_reached = true;
        Step::New
    }

    fn place(&mut self, partition: i32) -> Option<&mut Place> {
        self.0.iter_mut().find(|place| place.start.partition == partition)
    }

    /// Where to go on after a restart.
    pub(super) fn positions(&self) -> Vec<Position> {
        let position = |place: &Place| Position {
            partition: place.start.partition,
            next: place.next,
            last: place.last.clone(),
        };
        self.0.iter().map(position).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dedupe::EventKey;

    fn mark(offset: i64) -> Mark {
        Mark { offset, time: 7, event: Some(EventKey::new("up", "e")) }
    }

    fn start(first: i64, end: i64, proof: Option<Mark>) -> Progress {
        Progress::new(vec![Start { partition: 0, first, end, proof, last: None }])
    }

    #[test]
    fn a_partition_is_known_at_the_end_it_had_at_the_start_or_where_it_ends_now() {
        assert_eq!(start(3, 3, None).missing(), 0, "nothing was ahead");
        let mut progress = start(0, 2, None);
        assert_eq!((progress.read(0, mark(0)), progress.missing()), (Step::New, 1));
        assert_eq!((progress.read(0, mark(1)), progress.missing()), (Step::New, 0));
        let mut progress = start(0, 2, None);
        progress.read(0, mark(0));
        assert_eq!((progress.ended(0), progress.missing()), (Step::New, 0), "a marker is last");
    }

    #[test]
    fn the_record_that_a_snapshot_ended_with_proves_it_and_is_not_new() {
        let mut progress = start(4, 5, Some(mark(4)));
        assert_eq!(progress.missing(), 1);
        assert_eq!((progress.read(0, mark(4)), progress.missing()), (Step::Known, 0));
        assert_eq!(progress.read(0, mark(5)), Step::New);
        let expect = Position { partition: 0, next: 6, last: Some(mark(5)) };
        assert_eq!(progress.positions(), [expect]);
    }

    #[test]
    fn another_record_in_its_place_or_none_is_another_topic() {
        let other = [
            mark(5),
            Mark { time: 8, ..mark(4) },
            Mark { event: Some(EventKey::new("up", "another")), ..mark(4) },
            Mark { event: None, ..mark(4) },
        ];
        for record in other {
            assert_eq!(start(4, 9, Some(mark(4))).read(0, record), Step::Foreign);
        }
        assert_eq!(start(4, 9, Some(mark(4))).ended(0), Step::Foreign);
    }
}
