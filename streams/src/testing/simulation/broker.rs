//! A broker of the simulation: logs, what is on its way to them, committed offsets.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use bytes::Bytes;

use crate::{
    record::{Headers, Outgoing, Position, RawRecord},
    task::{SendId, commit_point::CommitPoint},
};

/// How the broker treats what is on its way when the process dies.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// A prefix of each partition's records lands.
    Prefix,
    /// Nothing lands.
    LosesEverything,
}

type Place = (Arc<str>, i32);

pub(super) struct Broker {
    partitions: i32,
    logs: HashMap<Place, Vec<RawRecord>>,
    /// Per partition, in order: who sent it, under which id.
    on_the_way: BTreeMap<Place, VecDeque<(usize, SendId, Outgoing)>>,
    committed: HashMap<Place, CommitPoint>,
    pub(super) fault: Fault,
}

impl Broker {
    pub(super) fn new(partitions: i32) -> Self {
        Self {
            partitions,
            logs: HashMap::new(),
            on_the_way: BTreeMap::new(),
            committed: HashMap::new(),
            fault: Fault::Prefix,
        }
    }

    pub(super) fn publish(&mut self, topic: &str, key: &Bytes, value: Bytes) {
        let record = Outgoing {
            topic: Arc::from(topic),
            partition: None,
            key: Some(key.clone()),
            value: Some(value),
            timestamp: None,
            headers: Headers::new(),
        };
        let place = self.place(&record);
        self.append(&place, record);
    }

    /// Writes a record of a transaction that is committed.
    pub(super) fn write(&mut self, record: Outgoing) {
        let place = self.place(&record);
        self.append(&place, record);
    }

    pub(super) fn send(&mut self, owner: usize, id: SendId, record: Outgoing) {
        let place = self.place(&record);
        self.on_the_way.entry(place).or_default().push_back((owner, id, record));
    }

    /// Writes the oldest record on its way to some partition.
    pub(super) fn write_one(&mut self, rng: &mut fastrand::Rng) -> Option<(usize, SendId)> {
        let places: Vec<_> =
            self.on_the_way.iter().filter(|(_, q)| !q.is_empty()).map(|(p, _)| p.clone()).collect();
        let place = rng.choice(places)?;
        let (owner, id, record) = self.on_the_way.get_mut(&place)?.pop_front()?;
        self.append(&place, record);
        Some((owner, id))
    }

    pub(super) fn crash(&mut self, rng: &mut fastrand::Rng) {
        for (place, queue) in std::mem::take(&mut self.on_the_way) {
            let landed = match self.fault {
                Fault::Prefix => rng.usize(0..=queue.len()),
                Fault::LosesEverything => 0,
            };
            for (_, _, record) in queue.into_iter().take(landed) {
                self.append(&place, record);
            }
        }
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.on_the_way.values().all(VecDeque::is_empty)
    }

    pub(super) fn records(&self, topic: &str, partition: i32) -> &[RawRecord] {
        let place = (Arc::from(topic), partition);
        self.logs.get(&place).map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn committed(&self, topic: &str, partition: i32) -> Option<CommitPoint> {
        self.committed.get(&(Arc::from(topic), partition)).cloned()
    }

    pub(super) fn commit(&mut self, topic: &Arc<str>, partition: i32, offset: CommitPoint) {
        self.committed.insert((Arc::clone(topic), partition), offset);
    }

    fn place(&self, record: &Outgoing) -> Place {
        let by_key = |key: &Bytes| {
            i32::from(key.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte))) % self.partitions
        };
        let partition = record.partition.unwrap_or_else(|| record.key.as_ref().map_or(0, by_key));
        (Arc::clone(&record.topic), partition)
    }

    fn append(&mut self, place: &Place, record: Outgoing) {
        let log = self.logs.entry(place.clone()).or_default();
        let offset = i64::try_from(log.len()).unwrap();
        log.push(RawRecord {
            position: Position { topic: Arc::clone(&place.0), partition: place.1, offset },
            timestamp: record.timestamp.unwrap_or_default(),
            key: record.key,
            value: record.value,
            headers: record.headers,
        });
    }
}
