//! Reads one changelog to its end.

use std::{
    collections::HashSet,
    sync::{Arc, mpsc::SyncSender},
    time::Duration,
};

use bytes::Bytes;
use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::Consumer as _,
    message::{BorrowedMessage, Headers as _},
};

use super::{ASK_TIMEOUT, Clients, Plan, Progress, RestoreError, Restored};
use crate::{
    record::{Headers, Position, RawRecord},
    task::{Saved, restore::entries},
    topology::StoreKind,
};

/// Changes handed over at once.
const BATCH: usize = 2_000;

/// How long the next record is waited for at once.
const LOOK: Duration = Duration::from_millis(50);

/// After how many looks without a record it is asked why there is none: two seconds.
const IDLE_LOOKS: u32 = 40;

/// How often the answer may be an open transaction: 16 minutes. Brokers let a transaction be open for
/// 15 (`transaction.max.timeout.ms`), so this one has lost its end.
const OPEN_MAX: u32 = 480;

/// One changelog: where from, where to.
pub(super) struct Reading {
    pub(super) store: usize,
    pub(super) changelog: Arc<str>,
    pub(super) kind: StoreKind,
    pub(super) from: i64,
    pub(super) high: i64,
    /// Offsets of the changelogs that are read after it.
    pub(super) behind: i64,
}

/// Reads a changelog until the reader's position reaches its end.
pub(super) fn read(
    clients: &Clients,
    plan: &Plan,
    reading: &Reading,
    restored: &mut Restored,
    progress: &SyncSender<Progress>,
) -> Result<(), RestoreError> {
    let Reading { store, changelog, kind, from, high, .. } = reading;
    let partition = plan.owner.partition;
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(changelog, partition, Offset::Offset(*from))?;
    clients.decided.assign(&list)?;
    let Restored { starts, left_out, .. } = restored;
    let is_handled = |source: &Position| {
        let found = plan.inputs.iter().position(|topic| *topic == source.topic);
        let start = found.and_then(|input| starts.get(input));
        start.is_some_and(|(point, _)| point.covers(source.offset))
    };
    let mut way = Way { clients, plan, reading, progress, at: *from, looks: 0, open: 0 };
    let (mut batch, mut skipped) = (Vec::new(), HashSet::<Bytes>::new());
    let mut is_failing = false;
    while way.at < *high {
        plan.check_wanted()?;
        let polled = clients.decided.poll(LOOK);
        let was_failing = std::mem::replace(&mut is_failing, matches!(polled, Some(Err(_))));
        match polled {
            Some(Ok(message)) => {
                let record = raw(&message, Arc::clone(changelog));
                entries(&record, *kind, is_handled, |entry| {
                    if entry.is_committed {
                        skipped.remove(&entry.key);
                        batch.push(Saved { store: *store, key: entry.key, value: entry.value });
                    } else if *kind == StoreKind::State {
                        skipped.insert(entry.key);
                    }
                })?;
                way.reach(record.position.offset.saturating_add(1));
            }
            // A broker that is away is told of many times a second.
            Some(Err(error)) if !was_failing => {
                tracing::warn!(%error, changelog = &**changelog, partition, "restore");
            }
            Some(Err(_)) => {}
            None => way.look()?,
        }
        if batch.len() >= BATCH || (way.looks > 0 && !batch.is_empty()) {
            way.hand_over(std::mem::take(&mut batch))?;
        }
    }
    way.hand_over(batch)?;
    left_out.extend(skipped.into_iter().map(|key| (*store, key)));
    Ok(clients.decided.unassign()?)
}

/// How far the reading is.
struct Way<'a> {
    clients: &'a Clients,
    plan: &'a Plan,
    reading: &'a Reading,
    progress: &'a SyncSender<Progress>,
    /// The next offset.
    at: i64,
    /// Looks in a row without a record.
    looks: u32,
    /// How often in a row an open transaction was the reason.
    open: u32,
}

impl Way<'_> {
    fn reach(&mut self, at: i64) {
        (self.at, self.looks, self.open) = (at, 0, 0);
    }

    fn hand_over(&self, changes: Vec<Saved>) -> Result<(), RestoreError> {
        let left = self.reading.high.saturating_sub(self.at).max(0);
        let left = left.saturating_add(self.reading.behind);
        self.tell(Progress::Changes(self.plan.owner, changes, left))
    }

    fn tell(&self, report: Progress) -> Result<(), RestoreError> {
        self.progress.send(report).map_err(|_| RestoreError::Unheard)
    }

    /// No record came. What there was may have been markers, which only the position tells of.
    fn look(&mut self) -> Result<(), RestoreError> {
        let (changelog, partition) = (&*self.reading.changelog, self.plan.owner.partition);
        let position = self.clients.decided.position()?;
        let position = position.find_partition(changelog, partition).map(|found| found.offset());
        if let Some(Offset::Offset(at)) = position
            && at > self.at
        {
            self.reach(at);
            return Ok(());
        }
        self.looks = self.looks.saturating_add(1);
        if self.looks.is_multiple_of(IDLE_LOOKS) {
            self.ask_why()?;
        }
        Ok(())
    }

    /// Nothing has come for a while: an open transaction ends the partition, for readers of what is
    /// decided, in front of itself.
    fn ask_why(&mut self) -> Result<(), RestoreError> {
        let (changelog, partition) = (&self.reading.changelog, self.plan.owner.partition);
        let ends = self.clients.decided.fetch_watermarks(changelog, partition, ASK_TIMEOUT);
        if !ends.is_ok_and(|(_, end)| end <= self.at) {
            return self.hand_over(Vec::new());
        }
        self.open = self.open.saturating_add(1);
        let at = self.at;
        if self.open == 1 {
            tracing::warn!(
                changelog = &**changelog,
                partition,
                at,
                "the changelog is held up by an open transaction, which is waited for"
            );
        }
        if self.open >= OPEN_MAX {
            let changelog = Arc::clone(changelog);
            return Err(RestoreError::Hanging { changelog, partition, at });
        }
        let says = format!("changelog `{changelog}` is held up at {at} by an open transaction");
        self.tell(Progress::Waits(self.plan.owner, says))
    }
}

/// A record of its own from one of the client's.
fn raw(message: &BorrowedMessage<'_>, topic: Arc<str>) -> RawRecord {
    let mut headers = Headers::new();
    for header in message.headers().into_iter().flat_map(|headers| headers.iter()) {
        headers.push(header.key, header.value.unwrap_or_default().to_vec());
    }
    RawRecord {
        position: Position { topic, partition: message.partition(), offset: message.offset() },
        timestamp: message.timestamp().to_millis().unwrap_or_default(),
        key: message.key().map(|key| key.to_vec().into()),
        value: message.payload().map(|value| value.to_vec().into()),
        headers,
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering},
            mpsc::sync_channel,
        },
        time::{Duration, Instant},
    };

    use rdkafka::{
        ClientConfig,
        mocking::MockCluster,
        producer::{BaseProducer, BaseRecord, Producer as _},
    };

    use super::super::{Beginning, Found, Owner, Plan, Progress, RestoreError, restore};
    use crate::topology::StoreKind;

    const DEADLINE: Duration = Duration::from_secs(30);

    #[expect(
        clippy::disallowed_methods,
        reason = "this test is about the time that a restore takes"
    )]
    fn now() -> Instant {
        Instant::now()
    }

    /// A client that is assigned a topic it has never heard of fetches nothing for a second, so two
    /// changelogs took two. The shortest of some: a busy machine only adds.
    #[test]
    fn changelogs_are_read_without_a_pause_before_each() {
        let mock = MockCluster::new(1).unwrap();
        for topic in ["in", "one", "two"] {
            mock.create_topic(topic, 1, 1).unwrap();
        }
        let servers = mock.bootstrap_servers();
        let producer: BaseProducer =
            ClientConfig::new().set("bootstrap.servers", &servers).create().unwrap();
        for topic in ["one", "two"] {
            for _ in 0..100 {
                let record = BaseRecord::<str, str>::to(topic).partition(0).key("k").payload("v");
                producer.send(record).map_err(|(error, _)| error).unwrap();
            }
        }
        producer.flush(DEADLINE).unwrap();
        let changelog = |store, topic: &str| (store, topic.into(), StoreKind::Ledger);
        let plan = Plan {
            owner: Owner { sub: 0, partition: 0, generation: 0 },
            servers,
            group_id: "app".to_owned(),
            inputs: vec!["in".into()],
            changelogs: vec![changelog(0, "one"), changelog(1, "two")],
            beginning: Beginning { sources: None, positions: vec![None, None], is_old: false },
            is_wanted: Arc::new(AtomicBool::new(true)),
        };
        let mut shortest = Duration::MAX;
        for _ in 0..3 {
            let (sender, reports) = sync_channel(1_000);
            let began = now();
            let found = restore(&plan, &sender).unwrap();
            shortest = shortest.min(began.elapsed());
            assert!(matches!(found, Found::Restored(_)));
            drop(sender);
            let changes = reports.iter().map(|report| match report {
                Progress::Changes(_, changes, _) => changes.len(),
                _ => 0,
            });
            assert_eq!(changes.sum::<usize>(), 200);
        }
        assert!(shortest < Duration::from_millis(1_500), "{shortest:?}");
        // Its partition goes: the next batch is not read any more.
        plan.is_wanted.store(false, Ordering::Relaxed);
        let (sender, reports) = sync_channel(1_000);
        assert!(matches!(restore(&plan, &sender), Err(RestoreError::Unheard)));
        drop(sender);
        assert_eq!(reports.iter().count(), 0);
    }
}
