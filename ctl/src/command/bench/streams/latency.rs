//! Open loop: a record at every fixed time, whatever the program does; latency counts from that time.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rdkafka::Offset;
use rdkafka::consumer::BaseConsumer;
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::data::{self, Data};
use super::event::Codec;
use super::load::{Measured, OUTPUT, Stand};
use super::program::{Kind, Place};
use super::{PARTITIONS, Quality};

/// The input of the paced runs, new for each.
pub(super) const INPUT: &str = "bench.paced";
/// Seconds before anything is measured.
const WARM_UP_SECONDS: u32 = 5;
/// How long a record waits for company at the sender, which counts as latency. Without, the client
/// sends a request per record, and the broker has no time for anybody else.
const LINGER_MS: u32 = 5;
/// What the first output and the last ones may take.
const OUTPUT_TIMEOUT: Duration = Duration::from_mins(1);

/// When each output was seen first, and how many were seen again.
type Sightings = (HashMap<u64, Instant>, u64);

impl Stand<'_> {
    pub(super) async fn latency(
        &self,
        place: &Place<'_>,
        rate: u32,
        seconds: u32,
    ) -> anyhow::Result<Measured> {
        self.cluster.create(INPUT, PARTITIONS).await?;
        let count =
            u64::from(rate).saturating_mul(u64::from(WARM_UP_SECONDS.saturating_add(seconds)));
        let mut running = self.program.start(self.cluster, place)?;
        let producer = self.cluster.producer(LINGER_MS)?;
        let data = *self.data;
        // One ahead shows that the program is up.
        send(&producer, &Codec::new()?, &data, count)?;
        producer.flush(OUTPUT_TIMEOUT).context("sending a transaction")?;
        let began = Instant::now();
        while self.cluster.end(OUTPUT, PARTITIONS)? == 0 {
            running.check()?;
            ensure!(began.elapsed() < OUTPUT_TIMEOUT, "no output of the first record");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let reader = self.cluster.reader(OUTPUT, PARTITIONS, Offset::Beginning)?;
        let stop = Arc::new(AtomicBool::new(false));
        let (kind, flag) = (self.program.kind, Arc::clone(&stop));
        let mut watching = JoinSet::new();
        watching.spawn_blocking(move || watch(&reader, kind, count, &flag));
        let mut sending = JoinSet::new();
        sending.spawn_blocking(move || pace(&producer, &data, count, rate));
        let start = sending.join_next().await.context("sending")???;
        let seen = tokio::time::timeout(OUTPUT_TIMEOUT, watching.join_next()).await;
        stop.store(true, Ordering::Relaxed);
        let (seen, double) = match seen {
            Ok(seen) => seen,
            Err(_) => watching.join_next().await,
        }
        .context("reading the outputs")???;
        let peak_mb = running.peak_mb()?;
        running.check()?;
        running.stop().await?;
        let first = u64::from(rate).saturating_mul(u64::from(WARM_UP_SECONDS));
        let mut times: Vec<Duration> = (first..count)
            .filter_map(|i| Some(seen.get(&i)?.saturating_duration_since(due(start, i, rate))))
            .collect();
        times.sort_unstable();
        let at = |percent: usize| {
            let time = times.get(times.len().saturating_mul(percent) / 100)?;
            u64::try_from(time.as_micros()).ok()
        };
        let missing = count.saturating_sub(u64::try_from(seen.len())?);
        Ok(Measured {
            p50_us: at(50),
            p99_us: at(99),
            peak_mb: Some(peak_mb),
            quality: Quality { missing, double, wrong: 0 },
            ..Measured::default()
        })
    }
}

fn due(start: Instant, i: u64, rate: u32) -> Instant {
    let nanos = i.saturating_mul(1_000_000_000) / u64::from(rate.max(1));
    start + Duration::from_nanos(nanos)
}

/// Sends record i at its time; the time of the first.
fn pace(producer: &BaseProducer, data: &Data, count: u64, rate: u32) -> anyhow::Result<Instant> {
    let codec = Codec::new()?;
    let start = Instant::now() + Duration::from_millis(50);
    for i in 0..count {
        let due = due(start, i, rate);
        // Serves what came back. A wait here of less than a millisecond would be none at all, and the
        // loop would take a core from what is measured.
        producer.poll(Duration::ZERO);
        let left = due.saturating_duration_since(Instant::now());
        if !left.is_zero() {
            #[expect(clippy::disallowed_methods, reason = "a thread of its own")]
            std::thread::sleep(left);
        }
        send(producer, &codec, data, i)?;
    }
    producer.flush(OUTPUT_TIMEOUT).context("sending transactions")?;
    Ok(start)
}

fn send(producer: &BaseProducer, codec: &Codec, data: &Data, place: u64) -> anyhow::Result<()> {
    let value = codec.encode(&data.transaction(place))?;
    let key = data::account_id(data.account(place));
    let sending = producer.send(BaseRecord::to(INPUT).key(&key).payload(&value));
    sending.map_err(|(error, _)| error).context("sending a transaction")
}

fn watch(
    reader: &BaseConsumer,
    kind: Kind,
    count: u64,
    stop: &AtomicBool,
) -> anyhow::Result<Sightings> {
    let codec = Codec::new()?;
    let (mut seen, mut double) = (HashMap::new(), 0_u64);
    while !stop.load(Ordering::Relaxed) && u64::try_from(seen.len())? < count {
        let Some(Ok(message)) = reader.poll(Duration::from_millis(100)) else { continue };
        let now = Instant::now();
        let value = message.payload().context("an output has no value")?;
        let id = match kind {
            Kind::Ledger => codec.balance(value)?.last_transaction_id,
            Kind::PassThrough | Kind::Enrich => codec.transaction(value)?.transaction_id,
        };
        let place = data::place(&id).filter(|place| *place < count);
        if let Some(place) = place
            && seen.insert(place, now).is_some()
        {
            double = double.saturating_add(1);
        }
    }
    Ok((seen, double))
}
