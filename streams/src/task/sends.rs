//! Records on their way to the broker.

use std::{collections::VecDeque, sync::Arc};

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
    /// Id of the first of `on_the_way`.
    first: u64,
    /// By id; acknowledged ones are empty until everything before them is too.
    on_the_way: VecDeque<Option<Purpose>>,
    count: usize,
}

impl Sends {
    pub(crate) fn begin(&mut self, purpose: Purpose) -> SendId {
        let id = self.mark();
        self.on_the_way.push_back(Some(purpose));
        self.count = self.count.saturating_add(1);
        id
    }

    /// Takes a record off the list; `None` when it was not on it.
    pub(crate) fn end(&mut self, id: SendId) -> Option<Purpose> {
        let index = usize::try_from(id.0.checked_sub(self.first)?).ok()?;
        let purpose = self.on_the_way.get_mut(index)?.take()?;
        self.count = self.count.saturating_sub(1);
        while let Some(None) = self.on_the_way.front() {
            self.on_the_way.pop_front();
            self.first = self.first.saturating_add(1);
        }
        Some(purpose)
    }

    /// Forgets all of them: their transaction is decided.
    pub(crate) fn clear(&mut self) {
        self.first = self.mark().0;
        self.on_the_way.clear();
        self.count = 0;
    }

    /// The id the next record will get: everything sent so far is below it.
    pub(crate) fn mark(&self) -> SendId {
        SendId(self.first.saturating_add(u64::try_from(self.on_the_way.len()).unwrap_or(u64::MAX)))
    }

    /// Whether everything below the mark is acknowledged.
    pub(crate) fn is_acknowledged(&self, mark: SendId) -> bool {
        // The first one is always on its way; where there is none, everything is acknowledged.
        self.on_the_way.is_empty() || self.first >= mark.0
    }

    pub(crate) fn len(&self) -> usize {
        self.count
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
