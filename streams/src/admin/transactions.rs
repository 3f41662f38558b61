//! Transactions that partitions are held up by, what became of them, and the end of those that hang.
//!
//! A reader of committed records stops at the first record of the oldest open transaction of a
//! partition. When a transaction is decided, its coordinator has a marker written to each partition of
//! it. A marker that is passed over holds its partition up for good: Kafka 4.3.0 to 4.4.0 do that to
//! partitions that have no leader in that moment (KAFKA-20734). The decision is in the coordinators'
//! log all the same, and what it says is what is written here; `kafka-transactions.sh abort` drops what
//! the same transaction has committed elsewhere.

mod ask;
mod log;
mod wire;

use std::collections::{BTreeMap, BTreeSet};

use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
    metadata::MetadataTopic,
};
use serde::Serialize;

use super::{Admin, AdminError, REQUEST_TIMEOUT, config};

/// Where coordinators keep what they decided.
const LOG: &str = "__transaction_state";

/// Partitions in one question: its answer names every producer of each, a thousand on a busy one.
const PARTITIONS_PER_QUESTION: usize = 200;

/// How a transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Its records are there.
    Commit,
    /// Its records are for nobody.
    Abort,
}

/// A transaction that is open in a partition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct OpenTransaction {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Its first record there: who reads committed records gets to it and no further.
    pub first_offset: i64,
    /// The id that its coordinator gave its producer.
    pub producer_id: i64,
    /// Which life of that producer.
    pub producer_epoch: i16,
    /// Which life of its coordinator the partition knows; -1 before the first marker.
    #[serde(skip)]
    pub(crate) coordinator_epoch: i32,
}

/// What became of an open transaction, by the log of its coordinator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Fate {
    /// Its producer works, or its coordinator aborts it when its time is over.
    Ongoing {
        /// The producer's name.
        transactional_id: String,
    },
    /// It is decided, and its markers are being written.
    Ending {
        /// The producer's name.
        transactional_id: String,
        /// The decision.
        outcome: Outcome,
    },
    /// It is decided, and its coordinator takes it for ended everywhere: nobody writes this marker.
    Hanging {
        /// The producer's name.
        transactional_id: String,
        /// The decision.
        outcome: Outcome,
    },
    /// No coordinator knows of it: its log was compacted since, or a record came after the
    /// transaction's end.
    Unknown,
}

impl Admin {
    /// The transactions that are open in these partitions (topic and count), by topic and partition, each
    /// with its fate. Those that end while this looks are left out.
    ///
    /// Asks every leader, and reads the coordinators' log when there are any.
    pub async fn open_transactions(
        &self,
        topics: &[(String, i32)],
    ) -> Result<Vec<(OpenTransaction, Fate)>, AdminError> {
        let (this, topics) = (self.clone(), topics.to_vec());
        let asked = tokio::task::spawn_blocking(move || {
            let before = this.open_now(&topics)?;
            if before.is_empty() {
                return Ok(Vec::new());
            }
            // What is open before and after the log was read is what the log speaks of.
            let log = this.histories()?;
            let after = this.open_now(&topics)?;
            let both = before.into_iter().filter(|open| after.contains(open));
            let fated = |open: OpenTransaction| {
                let fate = log.fate(&open);
                (open, fate)
            };
            Ok(both.map(fated).collect())
        });
        asked.await?
    }

    /// Writes the marker of an open transaction to its partition. Needs the right to alter the cluster.
    ///
    /// Right for a transaction that hangs, with the outcome that its [`Fate`] names. Any other is torn by
    /// it: its records are committed or dropped here, whatever comes of them in other partitions. A
    /// producer that begins to write to the partition again in the moment between is torn too: stop it
    /// first, where it is not held up by what hangs.
    pub async fn end_transaction(
        &self,
        open: &OpenTransaction,
        outcome: Outcome,
    ) -> Result<(), AdminError> {
        let (this, open) = (self.clone(), open.clone());
        tokio::task::spawn_blocking(move || this.end_now(&open, outcome)).await?
    }

    fn end_now(&self, open: &OpenTransaction, outcome: Outcome) -> Result<(), AdminError> {
        let OpenTransaction { topic, partition, .. } = open;
        let failed = |address: String, reason: String| {
            let action = format!("end a transaction in partition {partition} of `{topic}`");
            AdminError::Broker { address, action, reason }
        };
        let leaders = self.leaders(&[(topic.clone(), partition.saturating_add(1))])?;
        let own = (topic.clone(), *partition);
        let leader = leaders.iter().find(|(_, partitions)| partitions.contains(&own));
        let gone = || failed(self.servers.clone(), "it is not there any more".to_owned());
        let (address, _) = leader.ok_or_else(gone)?;
        let reason = match ask::ask(address, &wire::write_marker(open, outcome), wire::written) {
            Ok(0) => return Ok(()),
            Ok(code) => ask::refused(code),
            Err(error) => error.to_string(),
        };
        Err(failed(address.to_string(), reason))
    }

    fn open_now(&self, topics: &[(String, i32)]) -> Result<Vec<OpenTransaction>, AdminError> {
        let mut open = Vec::new();
        for (address, partitions) in self.leaders(topics)? {
            for some in partitions.chunks(PARTITIONS_PER_QUESTION) {
                open.extend(open_at(&address, some)?);
            }
        }
        open.sort();
        Ok(open)
    }

    /// The partitions of each leader. One that has no leader is an error: nobody knows what it holds.
    fn leaders(
        &self,
        topics: &[(String, i32)],
    ) -> Result<BTreeMap<ask::Address, Partitions>, AdminError> {
        let metadata = self
            .client
            .inner()
            .fetch_metadata(None, REQUEST_TIMEOUT)
            .map_err(|source| self.error("say who leads its partitions", source))?;
        let address = |id: i32| {
            let found = metadata.brokers().iter().find(|broker| broker.id() == id)?;
            let port = u16::try_from(found.port()).ok()?;
            Some(ask::Address { host: found.host().to_owned(), port })
        };
        let mut leaders = BTreeMap::<_, Partitions>::new();
        for (name, count) in topics {
            let found = metadata.topics().iter().find(|topic| topic.name() == name);
            let partitions = found.map_or(&[][..], MetadataTopic::partitions);
            for partition in partitions.iter().filter(|partition| partition.id() < *count) {
                let leader = address(partition.leader()).ok_or_else(|| AdminError::Broker {
                    address: self.servers.clone(),
                    action: format!("look into partition {} of `{name}`", partition.id()),
                    reason: "it has no leader; ask again when its brokers are back".to_owned(),
                })?;
                leaders.entry(leader).or_default().push((name.clone(), partition.id()));
            }
        }
        Ok(leaders)
    }

    /// What the coordinators' log says, from its beginning to its end.
    fn histories(&self) -> Result<log::Histories, AdminError> {
        let action = "show what its transaction coordinators decided";
        let failed = |source: KafkaError| self.error(action, source);
        let malformed = |reason: String| AdminError::Broker {
            address: self.servers.clone(),
            action: action.to_owned(),
            reason,
        };
        let consumer: BaseConsumer = config(self.servers())
            .set("group.id", "bankstream-transactions")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .create()
            .map_err(failed)?;
        let metadata = consumer.fetch_metadata(Some(LOG), REQUEST_TIMEOUT).map_err(failed)?;
        let mut unread = BTreeSet::new();
        let mut assigned = TopicPartitionList::new();
        for topic in metadata.topics() {
            for partition in topic.partitions() {
                let added = assigned.add_partition_offset(LOG, partition.id(), Offset::Beginning);
                added.map_err(failed)?;
                unread.insert(partition.id());
            }
        }
        consumer.assign(&assigned).map_err(failed)?;
        let mut histories = log::Histories::default();
        while !unread.is_empty() {
            match consumer.poll(REQUEST_TIMEOUT) {
                None => return Err(AdminError::Unreachable { servers: self.servers.clone() }),
                // Told again whenever more was written: ends are noted, not counted.
                Some(Err(KafkaError::PartitionEOF(partition))) => drop(unread.remove(&partition)),
                Some(Err(error)) => return Err(failed(error)),
                Some(Ok(record)) => {
                    let key = record.key().unwrap_or_default();
                    histories.take(key, record.payload()).map_err(|error| {
                        let (partition, offset) = (record.partition(), record.offset());
                        malformed(format!("record {partition}/{offset} of `{LOG}`: {error}"))
                    })?;
                }
            }
        }
        Ok(histories)
    }
}

/// Names of topics with a partition.
type Partitions = Vec<(String, i32)>;

fn open_at(
    address: &ask::Address,
    partitions: &[(String, i32)],
) -> Result<Vec<OpenTransaction>, AdminError> {
    let failed = |partition: Option<(&str, i32)>, reason: String| AdminError::Broker {
        address: address.to_string(),
        action: match partition {
            Some((topic, partition)) => format!("look into partition {partition} of `{topic}`"),
            None => "say which transactions are open".to_owned(),
        },
        reason,
    };
    let mut topics = BTreeMap::<&str, Vec<i32>>::new();
    for (topic, partition) in partitions {
        topics.entry(topic).or_default().push(*partition);
    }
    let topics: Vec<_> = topics.into_iter().map(|(name, all)| (name.to_owned(), all)).collect();
    let asked = wire::describe_producers(&topics);
    let described = ask::ask(address, &asked, wire::described);
    let mut open = Vec::new();
    for (topic, partition, answer) in described.map_err(|error| failed(None, error.to_string()))? {
        match answer {
            Ok(some) => open.extend(some),
            Err(code) => return Err(failed(Some((&topic, partition)), ask::refused(code))),
        }
    }
    Ok(open)
}
