//! Where topics begin and end, and how far groups are.

use std::{collections::BTreeMap, time::Duration};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
};

use super::{Admin, AdminError, REQUEST_TIMEOUT, config};

/// How often a group's coordinator is looked for, and how long between: it moves when a broker starts
/// or ends, which takes seconds.
const COORDINATOR_TRIES: u32 = 40;
const COORDINATOR_PAUSE: Duration = Duration::from_millis(250);

/// The records a partition holds: offsets from `low` up to, not including, `high`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermarks {
    /// Offset of the oldest record.
    pub low: i64,
    /// Offset the next record will get.
    pub high: i64,
}

/// How far a group is in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupOffset {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Offset of the next record it will read; none when it never committed.
    pub committed: Option<i64>,
    /// What the topic holds.
    pub watermarks: Watermarks,
}

impl GroupOffset {
    /// Records between the committed offset and the end; from the beginning without one.
    pub fn lag(&self) -> i64 {
        let from = self.committed.unwrap_or(0).max(self.watermarks.low);
        self.watermarks.high.saturating_sub(from).max(0)
    }
}

impl Admin {
    /// First and next offset of each partition of `topic`.
    pub async fn watermarks(
        &self,
        topic: &str,
        partitions: i32,
    ) -> Result<BTreeMap<i32, Watermarks>, AdminError> {
        let (this, topic) = (self.clone(), topic.to_owned());
        let asked = tokio::task::spawn_blocking(move || {
            (0..partitions)
                .map(|partition| Ok((partition, this.ends(&topic, partition)?)))
                .collect()
        });
        asked.await?
    }

    /// How far `group` is in every partition of `topics` (name and partition count).
    ///
    /// Committed offsets are those that are there now: an open transaction does not delay the answer.
    pub async fn group_offsets(
        &self,
        group: &str,
        topics: &[(String, i32)],
    ) -> Result<Vec<GroupOffset>, AdminError> {
        let (this, group, topics) = (self.clone(), group.to_owned(), topics.to_vec());
        tokio::task::spawn_blocking(move || this.group_offsets_now(&group, &topics)).await?
    }

    fn group_offsets_now(
        &self,
        group: &str,
        topics: &[(String, i32)],
    ) -> Result<Vec<GroupOffset>, AdminError> {
        let action = || format!("show the offsets of group `{group}`");
        let consumer = unjoined(self, group)?;
        let mut asked = TopicPartitionList::new();
        for (topic, partitions) in topics.iter().filter(|(_, partitions)| *partitions > 0) {
            asked.add_partition_range(topic, 0, *partitions - 1);
        }
        if asked.count() == 0 {
            return Ok(Vec::new());
        }
        let committed =
            committed(&consumer, &asked).map_err(|source| self.error(action(), source))?;
        let mut offsets = Vec::with_capacity(committed.count());
        for element in committed.elements() {
            let committed = match element.offset() {
                Offset::Offset(offset) => Some(offset),
                _ => None,
            };
            let (topic, partition) = (element.topic().to_owned(), element.partition());
            let watermarks = self.ends(&topic, partition)?;
            offsets.push(GroupOffset { topic, partition, committed, watermarks });
        }
        Ok(offsets)
    }

    pub(super) fn ends(&self, topic: &str, partition: i32) -> Result<Watermarks, AdminError> {
        let action = || format!("show the ends of partition {partition} of `{topic}`");
        self.client
            .inner()
            .fetch_watermarks(topic, partition, REQUEST_TIMEOUT)
            .map(|(low, high)| Watermarks { low, high })
            .map_err(|source| self.error(action(), source))
    }
}

/// A consumer that never subscribes, so that the group does not notice it.
pub(super) fn unjoined(admin: &Admin, group: &str) -> Result<BaseConsumer, AdminError> {
    config(admin.servers())
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_uncommitted")
        .create()
        .map_err(|source| AdminError::Client {
            servers: admin.servers.clone(),
            source: Box::new(source),
        })
}

/// The committed offsets, when the group's coordinator is there.
pub(super) fn committed(
    consumer: &BaseConsumer,
    asked: &TopicPartitionList,
) -> Result<TopicPartitionList, KafkaError> {
    let mut tries = 0;
    loop {
        let answer = consumer.committed_offsets(asked.clone(), REQUEST_TIMEOUT).and_then(|found| {
            for element in found.elements() {
                element.error()?;
            }
            Ok(found)
        });
        match answer {
            Err(error) if is_moving(&error) && tries < COORDINATOR_TRIES => tries += 1,
            answer => return answer,
        }
        #[expect(clippy::disallowed_methods, reason = "a thread for what blocks")]
        std::thread::sleep(COORDINATOR_PAUSE);
    }
}

/// Whether the group's coordinator is about to be somewhere else, or not there yet.
fn is_moving(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::NotCoordinator
                | RDKafkaErrorCode::CoordinatorNotAvailable
                | RDKafkaErrorCode::CoordinatorLoadInProgress
        )
    )
}

#[cfg(test)]
mod tests {
    use rdkafka::error::{KafkaError, RDKafkaErrorCode};

    use super::{GroupOffset, Watermarks, is_moving};

    #[test]
    fn a_coordinator_that_moves_is_asked_again_and_nobody_else() {
        let fetch = KafkaError::OffsetFetch;
        assert!(is_moving(&fetch(RDKafkaErrorCode::NotCoordinator)));
        assert!(is_moving(&fetch(RDKafkaErrorCode::CoordinatorLoadInProgress)));
        assert!(!is_moving(&fetch(RDKafkaErrorCode::GroupAuthorizationFailed)));
        assert!(!is_moving(&KafkaError::Canceled));
    }

    #[test]
    fn lag_counts_the_records_that_are_still_there() {
        fn check(committed: Option<i64>, low: i64, high: i64, expect: i64) {
            let watermarks = Watermarks { low, high };
            let offset = GroupOffset { topic: "t".to_owned(), partition: 0, committed, watermarks };
            assert_eq!(offset.lag(), expect);
        }
        check(Some(7), 0, 10, 3);
        check(Some(10), 0, 10, 0);
        check(None, 0, 10, 10);
        check(None, 4, 10, 6);
        check(Some(2), 4, 10, 6);
        check(Some(12), 0, 10, 0);
    }
}
