//! Records on their way to the broker.

use std::{collections::BTreeMap, sync::Arc};

use crate::record::RawRecord;

/// A record on its way, in the order of sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SendId(pub(crate) u64);

/// What a record on its way is for.
#[derive(Clone, Debug)]
pub(crate) enum Purpose {
    /// An output of this input record, or of a punctuation.
    Output(Option<Arc<RawRecord>>),
    /// A change of a store.
    Changelog,
    /// A dead letter.
    DeadLetter,
}

/// Follows records until the broker has acknowledged them.
#[derive(Debug, Default)]
pub(crate) struct Sends {
    next: u64,
    on_the_way: BTreeMap<SendId, Purpose>,
}

impl Sends {
    pub(crate) fn begin(&mut self, purpose: Purpose) -> SendId {
        let id = SendId(self.next);
        self.next = self.next.saturating_add(1);
        self.on_the_way.insert(id, purpose);
        id
    }

    /// Takes a record off the list; `None` when it was not on it.
    pub(crate) fn end(&mut self, id: SendId) -> Option<Purpose> {
        self.on_the_way.remove(&id)
    }

    /// The id the next record will get: everything sent so far is below it.
    pub(crate) fn mark(&self) -> SendId {
        SendId(self.next)
    }

    /// Whether everything below the mark is acknowledged.
    pub(crate) fn is_acknowledged(&self, mark: SendId) -> bool {
        self.on_the_way.first_key_value().is_none_or(|(oldest, _)| *oldest >= mark)
    }

    pub(crate) fn len(&self) -> usize {
        self.on_the_way.len()
    }
}

#[cfg(test)]
mod tests {
    use super::{Purpose, Sends};

    #[test]
    fn mark_is_reached_when_everything_below_it_is_acknowledged() {
        let mut sends = Sends::default();
        let first = sends.begin(Purpose::Changelog);
        let second = sends.begin(Purpose::Changelog);
        let mark = sends.mark();
        let later = sends.begin(Purpose::Changelog);
        assert!(sends.end(second).is_some());
        assert!(!sends.is_acknowledged(mark));
        assert!(sends.end(first).is_some());
        assert!(sends.is_acknowledged(mark), "what was sent later does not matter");
        assert!(sends.end(first).is_none());
        assert!(!sends.is_acknowledged(sends.mark()));
        assert!(sends.end(later).is_some());
        assert_eq!(sends.len(), 0);
    }
}
