//! The loop: poll, decide, produce; a transaction every commit interval.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use crate::balance::BalanceUpdated;
use crate::clients::{Acknowledged, Settings, Topics};
use crate::codec::Codec;
use crate::keeper::{Keeper, Kept};
use crate::ledger::Change;
use crate::report::{Report, now, say};

/// How long one call to the broker may take before it is made again.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a call that may be repeated is repeated, with `CALL_TIMEOUT`: a restart of the broker.
const CALLS_MAX: u32 = 24;
/// One wait for acknowledgements: `BaseProducer::poll` waits all of it, events or none.
const DRAIN_STEP: Duration = Duration::from_micros(500);
/// How often an idle loop looks whether it shall stop.
const IDLE: Duration = Duration::from_millis(100);
/// Ids in one changelog record: 256 KiB, a quarter of what brokers take by default.
const IDS_PER_RECORD: usize = 16_384;

/// Everything a running ledger holds.
pub(crate) struct Pipeline<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) topics: &'a Topics,
    pub(crate) consumer: &'a BaseConsumer,
    pub(crate) producer: &'a BaseProducer<Acknowledged>,
    pub(crate) keeper: &'a mut dyn Keeper,
    pub(crate) state: Vec<Kept>,
    pub(crate) codec: Codec,
    pub(crate) report: Report,
}

impl Pipeline<'_> {
    /// Runs until `stop`; the open transaction is committed first.
    pub(crate) fn run(mut self, stop: &AtomicBool) -> Result<Report> {
        let mut changes = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let Some(first) = self.consumer.poll(IDLE) else { continue };
            self.producer.begin_transaction().context("beginning a transaction")?;
            let deadline =
                now().checked_add(self.settings.commit_interval).context("reading the clock")?;
            self.take(&first.context("reading the input")?, &mut changes)?;
            while let Some(left) = left_until(deadline) {
                if let Some(message) = self.consumer.poll(left) {
                    self.take(&message.context("reading the input")?, &mut changes)?;
                }
            }
            self.commit(&mut changes)?;
        }
        self.keeper.close(&self.state)?;
        Ok(self.report)
    }

    fn take(
        &mut self,
        message: &rdkafka::message::BorrowedMessage<'_>,
        changes: &mut Vec<Change>,
    ) -> Result<()> {
        let partition =
            usize::try_from(message.partition()).context("reading a partition number")?;
        let kept =
            self.state.get_mut(partition).context("the input has more partitions than before")?;
        kept.reach.source = message.offset().checked_add(1).context("counting offsets")?;
        self.report.records = self.report.records.saturating_add(1);
        let key = message.key().context("a record of the input has no key")?;
        let value = message.payload().context("a record of the input has no value")?;
        let transaction = self.codec.decode(value)?;
        let Some(change) = kept.ledger.take(partition, key, &transaction) else { return Ok(()) };
        let output = BalanceUpdated {
            account_id: transaction.account_id,
            balance_base_units: change.balance.booked,
            held_base_units: change.balance.held,
            transaction_count: change.balance.count,
            last_transaction_id: transaction.transaction_id,
            sequence: change.balance.sequence,
        };
        let output = self.codec.encode(&output)?;
        send(self.producer, &self.settings.output, partition, Some(key), output, OUTPUT)?;
        send(
            self.producer,
            &self.topics.balances,
            partition,
            Some(key),
            &change.balance.encode(),
            BALANCES,
        )?;
        changes.push(change);
        Ok(())
    }

    fn commit(&mut self, changes: &mut Vec<Change>) -> Result<()> {
        self.send_ids(changes)?;
        let began = now();
        while self.producer.in_flight_count() > 0 {
            self.producer.poll(DRAIN_STEP);
        }
        let mut offsets = TopicPartitionList::new();
        for (partition, kept) in self.state.iter().enumerate() {
            let number = i32::try_from(partition).context("reading a partition number")?;
            offsets
                .add_partition_offset(
                    &self.settings.input,
                    number,
                    Offset::Offset(kept.reach.source),
                )
                .context("listing offsets")?;
        }
        let group = self.consumer.group_metadata().context("the consumer has no group")?;
        repeat("sending offsets", || {
            self.producer.send_offsets_to_transaction(&offsets, &group, CALL_TIMEOUT)
        })?;
        repeat("committing", || self.producer.commit_transaction(CALL_TIMEOUT))?;
        if self.report.commits.is_empty() {
            say(&self.report.first_commit());
        }
        self.report.commits.push(began.elapsed());

        let began = now();
        let acknowledged = self.producer.context();
        for (partition, kept) in self.state.iter_mut().enumerate() {
            kept.reach.balances = kept.reach.balances.max(acknowledged.next(BALANCES, partition));
            kept.reach.seen = kept.reach.seen.max(acknowledged.next(SEEN, partition));
        }
        self.keeper.keep(changes, &self.state)?;
        self.report.keeps.push(began.elapsed());
        changes.clear();
        Ok(())
    }

    /// Ids are only ever added, so many travel in one record.
    fn send_ids(&self, changes: &[Change]) -> Result<()> {
        let mut ids: Vec<Vec<u8>> = self.state.iter().map(|_| Vec::new()).collect();
        for change in changes {
            if let Some(ids) = ids.get_mut(change.partition) {
                ids.extend_from_slice(&change.id.to_le_bytes());
            }
        }
        for (partition, ids) in ids.iter().enumerate() {
            for chunk in ids.chunks(IDS_PER_RECORD.saturating_mul(size_of::<u128>())) {
                send(self.producer, &self.topics.seen, partition, None, chunk, SEEN)?;
            }
        }
        Ok(())
    }
}

/// What a sent record is, in its delivery report.
pub(crate) const OUTPUT: usize = 0;
pub(crate) const BALANCES: usize = 1;
pub(crate) const SEEN: usize = 2;

fn send(
    producer: &BaseProducer<Acknowledged>,
    topic: &str,
    partition: usize,
    key: Option<&[u8]>,
    value: &[u8],
    mark: usize,
) -> Result<()> {
    let number = i32::try_from(partition).context("reading a partition number")?;
    let mut record = BaseRecord::<[u8], [u8], usize>::with_opaque_to(topic, mark)
        .partition(number)
        .payload(value);
    record.key = key;
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                producer.poll(DRAIN_STEP);
                record = back;
            }
            Err((error, _)) => return Err(error).context("producing"),
        }
    }
}

fn left_until(deadline: Instant) -> Option<Duration> {
    let left = deadline.saturating_duration_since(now());
    (!left.is_zero()).then_some(left)
}

/// Makes a transactional call again while the broker says it may be. Anything else ends the program:
/// the next start aborts what is open and restores.
fn repeat(what: &'static str, mut call: impl FnMut() -> KafkaResult<()>) -> Result<()> {
    for _ in 0..CALLS_MAX {
        match call() {
            Ok(()) => return Ok(()),
            Err(KafkaError::Transaction(error)) if error.is_retriable() => {}
            Err(error) => return Err(error).context(what),
        }
    }
    bail!("{what}: no answer after {CALLS_MAX} calls; is the broker there?")
}

/// Whether disk and Kafka fit together: the disk may be behind, never ahead.
pub(crate) fn check_behind(kept: &Kept, partition: usize, committed: i64) -> Result<()> {
    ensure!(
        kept.reach.source <= committed,
        "the state of partition {partition} reaches {}, the committed offset is {committed}: \
         it belongs to another group or a recreated topic; remove STATE_DIR to restore it",
        kept.reach.source,
    );
    Ok(())
}
