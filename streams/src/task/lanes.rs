//! Records that wait for each other.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;

use super::EntryId;

/// Records of one lane are handled one after the other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Lane {
    /// Every record of a source: partition order.
    Source(usize),
    /// Records of one key, whatever source of the sub-topology they come from.
    Key(Bytes),
}

/// Who is first in each lane, and who waits behind.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    waiting: HashMap<Lane, VecDeque<EntryId>>,
}

impl Lanes {
    /// Puts a record at the end of its lane; `true` when it is first and may begin.
    pub(crate) fn join(&mut self, lane: &Lane, entry: EntryId) -> bool {
        if let Some(queue) = self.waiting.get_mut(lane) {
            queue.push_back(entry);
            return false;
        }
        self.waiting.insert(lane.clone(), VecDeque::from([entry]));
        true
    }

    /// The first record of a lane is finished; the next one may begin.
    pub(crate) fn leave(&mut self, lane: &Lane) -> Option<EntryId> {
        let queue = self.waiting.get_mut(lane)?;
        queue.pop_front();
        let next = queue.front().copied();
        if next.is_none() {
            self.waiting.remove(lane);
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::{EntryId, Lane, Lanes};

    #[test]
    fn records_of_a_lane_begin_one_after_the_other() {
        let mut lanes = Lanes::default();
        let (a, b) = (Lane::Key("a".into()), Lane::Key("b".into()));
        assert!(lanes.join(&a, EntryId(1)));
        assert!(!lanes.join(&a, EntryId(2)));
        assert!(lanes.join(&b, EntryId(3)), "another key does not wait");
        assert_eq!(lanes.leave(&a), Some(EntryId(2)));
        assert_eq!(lanes.leave(&a), None);
        assert!(lanes.join(&a, EntryId(4)), "an empty lane is forgotten");
    }
}
