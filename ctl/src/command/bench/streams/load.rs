//! One run of one program: input, start, watch, verdict.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rdkafka::Offset;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseRecord, Producer as _};
use rdkafka::types::RDKafkaErrorCode;
use serde::Serialize;
use tokio::time::Instant;

use super::bank::Bank;
use super::cluster::Cluster;
use super::data::{self, Data};
use super::event::Codec;
use super::program::{Binary, Job, Place, Running};
use super::verify::Verifier;
use super::{PARTITIONS, Quality, RUN_TIMEOUT};

/// The input that every throughput run reads.
pub(super) const INPUT: &str = "bench.transactions";
/// The output of a run.
pub(super) const OUTPUT: &str = "bench.outputs";
const CALLS: &str = "bench.calls";
/// Of its own, since a crash run adds to its input.
const CRASH: &str = "bench.crash";

/// How often outputs are counted.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Outputs that nobody expects would come within this time.
const QUIET: Duration = Duration::from_secs(1);
/// Accounts of the enrichment: enough keys for every call in flight.
const CALL_ACCOUNTS: u32 = 10_000;

/// What a run took.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Measured {
    pub(super) name: String,
    pub(super) program: String,
    pub(super) job: String,
    pub(super) records_per_second: Option<u64>,
    /// Of the whole process, its start included, for a million records.
    pub(super) cpu_ms_per_million: Option<u64>,
    pub(super) peak_mb: Option<u64>,
    /// From the time a record was due to a reader of what is committed.
    pub(super) p50_us: Option<u64>,
    pub(super) p99_us: Option<u64>,
    /// From the start after a kill to the first new output.
    pub(super) back_ms: Option<u64>,
    /// Ids and accounts, by the time from a start without disk to all outputs.
    pub(super) restored_per_second: Option<u64>,
    /// What the bank's answers took in the mean, and how many were waited for at the same time.
    pub(super) bank_us: Option<u64>,
    pub(super) in_flight: Option<u64>,
    pub(super) quality: Quality,
}

/// A program and where it is measured.
pub(super) struct Stand<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) data: &'a Data,
    pub(super) dir: &'a Path,
    pub(super) program: &'a Binary,
    pub(super) name: String,
}

impl Stand<'_> {
    pub(super) async fn run(&self, job: &Job) -> anyhow::Result<Measured> {
        let app_id = format!("bench-{:08x}", fastrand::u32(..));
        let dir = self.fresh(&app_id).await?;
        let mut measured = match job {
            Job::Throughput { guarantee } => {
                let here = place(INPUT, &app_id, guarantee, dir.clone());
                self.throughput(&here, *self.data).await
            }
            Job::Latency { guarantee, rate, seconds } => {
                let here = place(super::latency::INPUT, &app_id, guarantee, dir.clone());
                self.latency(&here, *rate, *seconds).await
            }
            Job::Crash => {
                self.cluster.create(CRASH, PARTITIONS).await?;
                fill(self.cluster, CRASH, self.data)?;
                self.crash(&place(CRASH, &app_id, "eos", dir.clone())).await
            }
            Job::Calls { records, in_flight } => {
                let mut here = place(CALLS, &app_id, "alo", dir.clone());
                let bank = Bank::open().await?;
                here.env = vec![("BANK", bank.url.clone()), ("CONCURRENCY", in_flight.to_string())];
                let data = Data { records: u64::from(*records), accounts: CALL_ACCOUNTS };
                self.cluster.create(CALLS, PARTITIONS).await?;
                fill(self.cluster, CALLS, &data)?;
                let measured = self.throughput(&here, data).await;
                measured.map(|measured| Measured {
                    bank_us: bank.mean_us(),
                    in_flight: Some(u64::from(*in_flight)),
                    ..measured
                })
            }
        }?;
        measured.name.clone_from(&self.name);
        self.program.owner.clone_into(&mut measured.program);
        measured.job = format!("{:?} {}", self.program.kind, job.name());
        std::fs::remove_dir_all(&dir).context("removing a run's folder")?;
        Ok(measured)
    }

    /// A new output topic and a new folder.
    async fn fresh(&self, app_id: &str) -> anyhow::Result<PathBuf> {
        self.cluster.create(OUTPUT, PARTITIONS).await?;
        let dir = self.dir.join("runs").join(app_id);
        std::fs::create_dir_all(dir.join("state")).context("creating a run's folder")?;
        Ok(dir)
    }

    async fn throughput(&self, place: &Place<'_>, data: Data) -> anyhow::Result<Measured> {
        let mut verifier = Verifier::new(self.program.kind, &data)?;
        let mut running = self.program.start(self.cluster, place)?;
        self.until(&mut running, verifier.outputs).await?;
        let cpu_ms = running.cpu_ms()?;
        self.read(&mut running, &mut verifier)?;
        let peak_mb = running.peak_mb()?;
        running.stop().await?;
        let (quality, times) = verifier.judge();
        let took = times.last().zip(times.first()).map(|(last, first)| last.saturating_sub(*first));
        let took = u64::try_from(took.context("nothing came out")?)?.max(1);
        Ok(Measured {
            records_per_second: Some(data.records.saturating_mul(1_000) / took),
            cpu_ms_per_million: Some(cpu_ms.saturating_mul(1_000_000) / data.records),
            peak_mb: Some(peak_mb),
            quality,
            ..Measured::default()
        })
    }

    /// Waits until about `count` records are readable: markers of transactions count too.
    pub(super) async fn until(&self, running: &mut Running, count: u64) -> anyhow::Result<()> {
        let began = Instant::now();
        while self.cluster.end(OUTPUT, PARTITIONS)? < count {
            running.check()?;
            ensure!(began.elapsed() < RUN_TIMEOUT, "the outputs did not all come");
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Reads everything, until all that has to come and nothing more comes.
    pub(super) fn read(
        &self,
        running: &mut Running,
        verifier: &mut Verifier,
    ) -> anyhow::Result<()> {
        let reader = self.cluster.reader(OUTPUT, PARTITIONS, Offset::Beginning)?;
        let mut last = Instant::now();
        loop {
            match reader.poll(LOOK_EVERY) {
                Some(Ok(message)) => {
                    verifier.take(&message)?;
                    last = Instant::now();
                }
                Some(Err(KafkaError::PartitionEOF(_))) | None => {
                    let is_whole = verifier.count() >= verifier.outputs;
                    if is_whole && last.elapsed() > QUIET {
                        return Ok(());
                    }
                    // What is missing is for the verdict to say.
                    if last.elapsed() > RUN_TIMEOUT / 10 {
                        return Ok(());
                    }
                    running.check()?;
                }
                Some(Err(error)) => return Err(error).context("reading the outputs"),
            }
        }
    }
}

fn place<'a>(input: &'a str, app_id: &'a str, guarantee: &'a str, dir: PathBuf) -> Place<'a> {
    Place { input, output: OUTPUT, app_id, guarantee, dir, env: Vec::new() }
}

/// Writes the records of `data`.
pub(super) fn fill(cluster: &Cluster, topic: &str, data: &Data) -> anyhow::Result<()> {
    let producer = cluster.producer(20)?;
    let codec = Codec::new()?;
    for i in 0..data.records {
        let original = data::original(i);
        let value = codec.encode(&data.transaction(original))?;
        let key = data::account_id(data.account(original));
        let mut record = BaseRecord::to(topic).key(&key).payload(&value);
        while let Err((error, back)) = producer.send(record) {
            let is_full =
                matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull));
            ensure!(is_full, "writing the input: {error}");
            producer.poll(Duration::from_millis(5));
            record = back;
        }
        if i.is_multiple_of(1_000) {
            producer.poll(Duration::ZERO);
        }
    }
    producer.flush(Duration::from_mins(1)).context("writing the input")
}
