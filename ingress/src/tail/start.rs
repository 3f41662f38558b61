//! Where in each partition reading starts.

use std::time::Duration;

use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;
use rdkafka::metadata::{MetadataPartition, MetadataTopic};
use rdkafka::{Offset, TopicPartitionList};
use schemas::topics::WEBHOOKS_RECEIVED;

use super::Tail;
use super::judge::{Bounds, Wanted, judge};
use super::progress::{Progress, Start};
use crate::dedupe::snapshot::Snapshot;

/// How long one question to the broker may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a snapshot that was loaded is not used after all.
#[derive(Debug, thiserror::Error)]
#[error("where it ends the topic has other records: the topic was made anew")]
pub(super) struct OtherRecords;

impl Tail {
    /// Places the consumer where the snapshot ends, or else at `since` in every partition; false when
    /// the topic does not exist.
    pub(super) fn assign(
        &mut self,
        since: i64,
        snapshot: &mut Option<Snapshot>,
    ) -> Result<bool, KafkaError> {
        let partitions = self.bounds()?;
        if partitions.is_empty() {
            return Ok(false);
        }
        let cluster = match &self.keeper {
            Some(_) => self.consumer.client().fetch_cluster_id(ANSWER_TIMEOUT),
            None => None,
        };
        let after = self.after(snapshot.take(), since, cluster.clone(), &partitions);
        let starts = if let Some(starts) = after {
            starts
        } else {
            let starts = self.of_time(since, &partitions)?;
            if let Some(keeper) = &mut self.keeper {
                keeper.starts_anew(cluster, since);
            }
            starts
        };
        let mut assignment = TopicPartitionList::new();
        for start in &starts {
            let offset = Offset::Offset(start.first);
            assignment.add_partition_offset(WEBHOOKS_RECEIVED, start.partition, offset)?;
        }
        self.consumer.assign(&assignment)?;
        self.progress = Progress::new(starts);
        Ok(true)
    }

    /// The topic's partitions as they are now; none when it does not exist.
    fn bounds(&self) -> Result<Vec<Bounds>, KafkaError> {
        let metadata = self.consumer.fetch_metadata(Some(WEBHOOKS_RECEIVED), ANSWER_TIMEOUT)?;
        let topic = metadata.topics().first();
        let partitions = topic.into_iter().flat_map(MetadataTopic::partitions);
        let bounds = |partition: i32| {
            let (low, high) =
                self.consumer.fetch_watermarks(WEBHOOKS_RECEIVED, partition, ANSWER_TIMEOUT)?;
            Ok(Bounds { partition, low, high })
        };
        partitions.map(MetadataPartition::id).map(bounds).collect()
    }

    /// Takes the snapshot's ids, and gives where it ends; `None` when it is not used.
    fn after(
        &mut self,
        snapshot: Option<Snapshot>,
        since: i64,
        cluster: Option<String>,
        partitions: &[Bounds],
    ) -> Option<Vec<Start>> {
        let (keeper, snapshot) = (self.keeper.as_mut()?, snapshot?);
        let wanted = Wanted {
            cluster: cluster.unwrap_or_default(),
            now: keeper.now(),
            since,
            ids_max: self.dedupe.frame().ids_max,
            partitions: partitions.to_vec(),
        };
        let starts = match judge(&snapshot.header, snapshot.ids(), &wanted) {
            Ok(starts) => starts,
            Err(reason) => {
                keeper.set_aside(&reason);
                return None;
            }
        };
        let header = snapshot.header.clone();
        match snapshot.load(&self.dedupe, wanted.now) {
            Ok(()) => {
                tracing::info!(
                    ids = self.metrics.ids.get(),
                    "the event ids of the snapshot are known; reading on from where it ends"
                );
                keeper.loaded(header);
                Some(starts)
            }
            Err(error) => {
                keeper.set_aside(&error);
                None
            }
        }
    }

    /// The first records of the time `since` or later.
    fn of_time(&self, since: i64, partitions: &[Bounds]) -> Result<Vec<Start>, KafkaError> {
        let mut times = TopicPartitionList::new();
        for Bounds { partition, .. } in partitions {
            let time = Offset::Offset(since.max(0));
            times.add_partition_offset(WEBHOOKS_RECEIVED, *partition, time)?;
        }
        let found = match since {
            1.. => self.consumer.offsets_for_times(times, ANSWER_TIMEOUT)?,
            // Of all times: from the beginning.
            _ => TopicPartitionList::new(),
        };
        let start = |bounds: &Bounds| {
            let Bounds { partition, low, high } = *bounds;
            let first = match found.find_partition(WEBHOOKS_RECEIVED, partition) {
                // There was nothing that late when the end was asked for. What came since is read.
                Some(found) => found.offset().to_raw().filter(|raw| *raw >= 0).unwrap_or(high),
                None => low,
            };
            // Where nothing is that late the last one is read all the same: a snapshot shall know it.
            let first = first.min(high.saturating_sub(1)).max(low);
            Start { partition, first, end: high, proof: None, last: None }
        };
        Ok(partitions.iter().map(start).collect())
    }
}
