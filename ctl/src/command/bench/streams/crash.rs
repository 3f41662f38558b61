//! Killed half-way, started again with its disk; then started without.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rdkafka::Offset;
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseRecord, Producer as _};
use streams::{Clock as _, SystemClock};
use tokio::time::Instant;

use super::data::{self, Data};
use super::event::Codec;
use super::load::{Measured, OUTPUT, Stand};
use super::program::Place;
use super::verify::Verifier;
use super::{PARTITIONS, RUN_TIMEOUT};

/// New transactions after the lost disk: enough to meet most partitions.
const PROBES: u64 = 16;
/// One look at the outputs.
const LOOK: Duration = Duration::from_millis(20);

impl Stand<'_> {
    pub(super) async fn crash(&self, place: &Place<'_>) -> anyhow::Result<Measured> {
        let mut verifier = Verifier::new(self.program.kind, self.data)?;
        let mut running = self.program.start(self.cluster, place)?;
        self.until(&mut running, verifier.outputs / 2).await?;
        running.kill().await?;
        let killed_at = SystemClock.now();
        let mut running = self.program.start(self.cluster, place)?;
        self.until(&mut running, verifier.outputs).await?;
        self.read(&mut running, &mut verifier)?;
        let peak_mb = running.peak_mb()?;
        running.stop().await?;

        let keys = verifier.outputs.saturating_add(u64::from(self.data.accounts));
        let restored = self.restore(place, &verifier).await?;
        let (quality, times) = verifier.judge();
        let back = times.iter().find(|at| **at > killed_at).context("nothing came out again")?;
        let restored = u64::try_from(restored.as_millis())?.max(1);
        Ok(Measured {
            back_ms: Some(u64::try_from(back.saturating_sub(killed_at))?),
            restored_per_second: Some(keys.saturating_mul(1_000) / restored),
            peak_mb: Some(peak_mb),
            quality,
            ..Measured::default()
        })
    }

    /// The time from a start without disk until new transactions have come out with the right numbers.
    async fn restore(&self, place: &Place<'_>, verifier: &Verifier) -> anyhow::Result<Duration> {
        let state = place.dir.join("state");
        std::fs::remove_dir_all(&state).context("removing the state")?;
        std::fs::create_dir_all(&state).context("creating the state folder")?;
        let reader = self.cluster.reader(OUTPUT, PARTITIONS, Offset::End)?;
        // Where the end is, each partition looks up for itself.
        let mut at_end = HashSet::new();
        while at_end.len() < usize::try_from(PARTITIONS)? {
            if let Some(Err(KafkaError::PartitionEOF(partition))) = reader.poll(LOOK) {
                at_end.insert(partition);
            }
        }
        let began = Instant::now();
        let mut running = self.program.start(self.cluster, place)?;
        let codec = Codec::new()?;
        let mut open = self.probe(place.input, &codec)?;
        while !open.is_empty() {
            ensure!(began.elapsed() < RUN_TIMEOUT, "no outputs after a lost disk");
            running.check()?;
            let Some(Ok(message)) = reader.poll(LOOK) else { continue };
            let output = codec.balance(message.payload().context("an output has no value")?)?;
            let sent = data::place(&output.last_transaction_id);
            let Some(at) = open.iter().position(|(probe, _)| Some(*probe) == sent) else {
                continue;
            };
            let (_, account) = open.swap_remove(at);
            let expected = verifier.sequence_after(account);
            ensure!(
                Some(output.sequence) == expected,
                "after a lost disk: sequence {}",
                output.sequence
            );
        }
        let took = began.elapsed();
        running.stop().await?;
        Ok(took)
    }

    /// Sends new transactions: their places and accounts.
    fn probe(&self, topic: &str, codec: &Codec) -> anyhow::Result<Vec<(u64, u32)>> {
        let producer = self.cluster.producer(0)?;
        let data = Data { records: u64::MAX, ..*self.data };
        let mut accounts = HashSet::new();
        let mut sent = Vec::new();
        let mut place = self.data.records;
        while sent.len() < usize::try_from(PROBES)? {
            place = place.saturating_add(1);
            let account = data.account(place);
            if !accounts.insert(account) {
                continue;
            }
            let value = codec.encode(&data.transaction(place))?;
            let key = data::account_id(account);
            let sending = producer.send(BaseRecord::to(topic).key(&key).payload(&value));
            sending.map_err(|(error, _)| error).context("sending a transaction")?;
            sent.push((place, account));
        }
        producer.flush(Duration::from_secs(10)).context("sending transactions")?;
        Ok(sent)
    }
}
