//! The log of the transaction coordinators, `__transaction_state`: what each decided.
//!
//! Its records are Kafka's own (`TransactionLogKey` 0, `TransactionLogValue` 0 and 1). A transaction goes through
//! ongoing, prepared (decided, with its partitions), complete (every marker written, as the coordinator
//! believes).

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Fate, OpenTransaction, Outcome,
    wire::{Malformed, Reader},
};

/// What the log says of one transactional id.
#[derive(Debug, Default)]
struct History {
    producers: BTreeSet<i64>,
    /// What became of the newest transaction that each partition was a part of.
    partitions: BTreeMap<(String, i32), Stage>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Ongoing,
    Prepared(Outcome),
    Complete(Outcome),
}

/// What the log says, taken in record by record, each partition of it in order.
#[derive(Debug, Default)]
pub(super) struct Histories(BTreeMap<String, History>);

impl Histories {
    /// Takes in a record.
    pub(super) fn take(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), Malformed> {
        let mut key = Reader(key);
        if key.i16()? != 0 {
            // of a newer Kafka, and not about a transaction
            return Ok(());
        }
        let id = key.classic_string()?;
        let Some(value) = value else {
            self.0.remove(id);
            return Ok(());
        };
        let entry = entry(value)?;
        let history = self.0.entry(id.to_owned()).or_default();
        history.producers.insert(entry.producer_id);
        match entry.state {
            State::Ongoing => history.set(entry.partitions, Stage::Ongoing),
            State::Prepared(outcome) => history.set(entry.partitions, Stage::Prepared(outcome)),
            State::Complete(outcome) => history.complete(outcome),
            State::Other => {}
        }
        Ok(())
    }

    /// What became of a transaction that is open in a partition: of the newest one of its producer that
    /// the partition was a part of. An older one ended in this partition with that one's marker.
    pub(super) fn fate(&self, open: &OpenTransaction) -> Fate {
        let mut known = self.0.iter();
        let of_producer = known.find(|(_, history)| history.producers.contains(&open.producer_id));
        let Some((id, history)) = of_producer else { return Fate::Unknown };
        let transactional_id = id.clone();
        match history.partitions.get(&(open.topic.clone(), open.partition)) {
            None => Fate::Unknown,
            Some(Stage::Ongoing) => Fate::Ongoing { transactional_id },
            Some(&Stage::Prepared(outcome)) => Fate::Ending { transactional_id, outcome },
            Some(&Stage::Complete(outcome)) => Fate::Hanging { transactional_id, outcome },
        }
    }
}

impl History {
    fn set(&mut self, partitions: Vec<(String, i32)>, stage: Stage) {
        self.partitions.extend(partitions.into_iter().map(|partition| (partition, stage)));
    }

    fn complete(&mut self, outcome: Outcome) {
        for stage in self.partitions.values_mut() {
            if *stage == Stage::Prepared(outcome) {
                *stage = Stage::Complete(outcome);
            }
        }
    }
}

struct Entry {
    producer_id: i64,
    state: State,
    partitions: Vec<(String, i32)>,
}

#[derive(Clone, Copy)]
enum State {
    Ongoing,
    Prepared(Outcome),
    Complete(Outcome),
    Other,
}

fn entry(value: &[u8]) -> Result<Entry, Malformed> {
    let mut reader = Reader(value);
    let is_compact = match reader.i16()? {
        0 => false,
        // versions after 1 may only add what is passed over here
        _ => true,
    };
    let producer_id = reader.i64()?;
    reader.i16()?; // epoch
    reader.i32()?; // timeout
    let state = match reader.i8()? {
        1 => State::Ongoing,
        2 => State::Prepared(Outcome::Commit),
        // 7: about to be aborted, its producer fenced
        3 | 7 => State::Prepared(Outcome::Abort),
        4 => State::Complete(Outcome::Commit),
        5 => State::Complete(Outcome::Abort),
        _ => State::Other,
    };
    let mut partitions = Vec::new();
    let length = |reader: &mut Reader<'_>| {
        if is_compact { reader.length() } else { reader.classic_length() }
    };
    for _ in 0..length(&mut reader)?.unwrap_or(0) {
        let topic = if is_compact { reader.name()? } else { reader.classic_string()? };
        for _ in 0..length(&mut reader)?.unwrap_or(0) {
            partitions.push((topic.to_owned(), reader.i32()?));
        }
        if is_compact {
            reader.tags()?;
        }
    }
    Ok(Entry { producer_id, state, partitions })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Histories;
    use crate::admin::transactions::{Fate, OpenTransaction, Outcome};

    fn key() -> Vec<u8> {
        [&[0, 0, 0, 3], b"app".as_slice()].concat()
    }

    /// Producer 8 in `state`, with partition 2 of `t` or without a partition.
    fn value(version: u8, state: u8, is_in: bool) -> Vec<u8> {
        let mut value = vec![0, version, 0, 0, 0, 0, 0, 0, 0, 8, 0, 3, 0, 0, 0x75, 0x30, state];
        let partitions: &[u8] = match (version, is_in) {
            (0, true) => &[0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1, 0, 0, 0, 2],
            (0, false) => &[0, 0, 0, 0],
            (_, true) => &[2, 2, b't', 2, 0, 0, 0, 2, 0],
            (_, false) => &[1],
        };
        value.extend(partitions);
        value.extend([0; 17]);
        value
    }

    fn open(producer_id: i64, partition: i32) -> OpenTransaction {
        OpenTransaction {
            topic: "t".to_owned(),
            partition,
            first_offset: 40,
            producer_id,
            producer_epoch: 3,
            coordinator_epoch: 5,
        }
    }

    #[test]
    fn a_transaction_hangs_when_its_coordinator_calls_it_complete() {
        let transactional_id = || "app".to_owned();
        for version in [0, 1] {
            for (prepared, complete, outcome) in [(2, 4, Outcome::Commit), (3, 5, Outcome::Abort)] {
                let mut log = Histories::default();
                assert_eq!(log.fate(&open(8, 2)), Fate::Unknown);
                let mut after = |state, is_in| {
                    log.take(&key(), Some(&value(version, state, is_in))).unwrap();
                    log.fate(&open(8, 2))
                };
                let ongoing = Fate::Ongoing { transactional_id: transactional_id() };
                let ending = Fate::Ending { transactional_id: transactional_id(), outcome };
                let hanging = Fate::Hanging { transactional_id: transactional_id(), outcome };
                assert_eq!(after(1, true), ongoing);
                assert_eq!(after(prepared, true), ending);
                assert_eq!(after(complete, false), hanging);
                // its producer begins anew, and works elsewhere
                assert_eq!(after(0, false), hanging);
                assert_eq!(after(1, false), hanging);
                // and here
                assert_eq!(after(1, true), ongoing);
            }
        }
    }

    #[test]
    fn what_the_log_does_not_name_is_unknown() {
        let mut log = Histories::default();
        log.take(&key(), Some(&value(1, 2, true))).unwrap();
        log.take(&key(), Some(&value(1, 4, false))).unwrap();
        assert_eq!(log.fate(&open(8, 3)), Fate::Unknown, "another partition");
        assert_eq!(log.fate(&open(9, 2)), Fate::Unknown, "another producer");
        log.take(&key(), None).unwrap();
        assert_eq!(log.fate(&open(8, 2)), Fate::Unknown, "forgotten");
    }

    proptest! {
        #[test]
        fn any_record_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut log = Histories::default();
            drop(log.take(&bytes, None));
            drop(log.take(&key(), Some(&bytes)));
        }
    }
}
