//! Setting the place at which a group goes on.

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
};

use super::{Admin, AdminError, GroupOffset, REQUEST_TIMEOUT, offsets::unjoined};

/// Where a group shall go on in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetTo {
    /// At the oldest record there is.
    Earliest,
    /// Behind the newest record there is.
    Latest,
    /// At this offset.
    Offset(i64),
    /// At the first record of this time or a later one, in milliseconds since the Unix epoch; behind
    /// the newest where all are older.
    Time(i64),
}

impl Admin {
    /// The offsets that `to` means in these partitions of a topic.
    pub async fn offsets_at(
        &self,
        topic: &str,
        partitions: &[i32],
        to: ResetTo,
    ) -> Result<Vec<(i32, i64)>, AdminError> {
        let (this, topic, partitions) = (self.clone(), topic.to_owned(), partitions.to_vec());
        let asked =
            tokio::task::spawn_blocking(move || this.offsets_at_now(&topic, &partitions, to));
        asked.await?
    }

    fn offsets_at_now(
        &self,
        topic: &str,
        partitions: &[i32],
        to: ResetTo,
    ) -> Result<Vec<(i32, i64)>, AdminError> {
        let mut offsets = Vec::with_capacity(partitions.len());
        for partition in partitions {
            let offset = match to {
                ResetTo::Offset(offset) => offset,
                ResetTo::Earliest => self.ends(topic, *partition)?.low,
                ResetTo::Latest => self.ends(topic, *partition)?.high,
                ResetTo::Time(at) => match self.offset_of_time(topic, *partition, at)? {
                    Some(offset) => offset,
                    None => self.ends(topic, *partition)?.high,
                },
            };
            offsets.push((*partition, offset));
        }
        Ok(offsets)
    }

    fn offset_of_time(
        &self,
        topic: &str,
        partition: i32,
        at: i64,
    ) -> Result<Option<i64>, AdminError> {
        let action = || format!("look up a time in partition {partition} of `{topic}`");
        let consumer = unjoined(self, "bankstream-offsets")?;
        let mut asked = TopicPartitionList::new();
        asked
            .add_partition_offset(topic, partition, Offset::Offset(at))
            .and_then(|()| consumer.offsets_for_times(asked, REQUEST_TIMEOUT))
            .map(|found| {
                found.elements().first().and_then(|element| match element.offset() {
                    Offset::Offset(offset) => Some(offset),
                    _ => None,
                })
            })
            .map_err(|source| self.error(action(), source))
    }

    /// Sets the committed offsets of a group without members, with nothing finished ahead of them: what
    /// was handled behind them is handled again.
    ///
    /// Fails with [`AdminError::GroupActive`] while the group has members: they would commit over it.
    /// The broker itself refuses that, so no member can join unnoticed in between.
    pub async fn set_group_offsets(
        &self,
        group: &str,
        offsets: &[GroupOffset],
    ) -> Result<(), AdminError> {
        let (this, group, offsets) = (self.clone(), group.to_owned(), offsets.to_vec());
        tokio::task::spawn_blocking(move || this.set_group_offsets_now(&group, &offsets)).await?
    }

    fn set_group_offsets_now(
        &self,
        group: &str,
        offsets: &[GroupOffset],
    ) -> Result<(), AdminError> {
        let failed = |source: KafkaError| {
            if matches!(
                source.rdkafka_error_code(),
                Some(
                    RDKafkaErrorCode::UnknownMemberId
                        | RDKafkaErrorCode::IllegalGeneration
                        | RDKafkaErrorCode::RebalanceInProgress
                )
            ) {
                return AdminError::GroupActive { group: group.to_owned() };
            }
            self.error(format!("set the offsets of group `{group}`"), source)
        };
        let consumer: BaseConsumer = unjoined(self, group)?;
        let mut list = TopicPartitionList::new();
        for GroupOffset { topic, partition, committed, .. } in offsets {
            let Some(offset) = committed else { continue };
            list.add_partition_offset(topic, *partition, Offset::Offset(*offset))
                .map_err(failed)?;
        }
        // The client looks for the group's coordinator with the first question, and waits for it.
        super::offsets::committed(&consumer, &list).map_err(failed)?;
        consumer.commit(&list, CommitMode::Sync).map_err(failed)
    }
}
