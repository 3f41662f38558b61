//! The programs that are measured, seen from outside: /proc, signals, an environment.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;

use super::cluster::Cluster;
use crate::process::{Launch, Process};

/// The kernel counts CPU time for users in hundredths of a second, on every architecture built for.
const MILLIS_PER_TICK: u64 = 10;
/// What a program may take to end in order.
const GRACE: Duration = Duration::from_secs(30);

/// What a program does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Ledger,
    PassThrough,
    Enrich,
}

/// A program on disk.
#[derive(Clone, Debug)]
pub(super) struct Binary {
    pub(super) name: String,
    pub(super) owner: &'static str,
    pub(super) kind: Kind,
    pub(super) path: PathBuf,
}

impl Binary {
    pub(super) fn new(owner: &'static str, kind: Kind, path: PathBuf) -> Self {
        let job = match kind {
            Kind::Ledger => "ledger",
            Kind::PassThrough => "pass-through",
            Kind::Enrich => "enrich",
        };
        Self { name: format!("{owner} {job}"), owner, kind, path }
    }

    /// Starts it for one application id, with the state it left under the same id.
    pub(super) fn start(&self, cluster: &Cluster, place: &Place<'_>) -> anyhow::Result<Running> {
        let text = |name: &str, value: &str| (name.to_owned(), value.into());
        let mut env = vec![
            text("BOOTSTRAP", &cluster.bootstrap_servers),
            text("IN_TOPIC", place.input),
            text("OUT_TOPIC", place.output),
            text("APP_ID", place.app_id),
            text("GUARANTEE", place.guarantee),
            ("STATE_DIR".to_owned(), place.dir.join("state").into()),
        ];
        env.extend(place.env.iter().map(|(name, value)| text(name, value)));
        let launch = Launch {
            name: self.name.clone(),
            program: self.path.clone(),
            args: Vec::new(),
            forgotten: Vec::new(),
            env,
            dir: None,
            log: place.dir.join("log"),
            ends_with_us: true,
        };
        Ok(Running { process: launch.spawn()? })
    }
}

/// Where a program works.
#[derive(Clone, Debug)]
pub(super) struct Place<'a> {
    pub(super) input: &'a str,
    pub(super) output: &'a str,
    pub(super) app_id: &'a str,
    pub(super) guarantee: &'a str,
    pub(super) dir: PathBuf,
    pub(super) env: Vec<(&'a str, String)>,
}

/// What is asked of a program.
#[derive(Clone, Debug)]
pub(super) enum Job {
    /// Everything there is, as fast as it can.
    Throughput { guarantee: &'static str },
    /// A record at a time, at fixed times.
    Latency { guarantee: &'static str, rate: u32, seconds: u32 },
    /// Killed half-way, then its disk lost.
    Crash,
    /// A call per record.
    Calls { records: u32, in_flight: u32 },
}

impl Job {
    /// The jobs of a program.
    pub(super) fn of(binary: &Binary, rate: u32, seconds: u32, calls: u32) -> Vec<Self> {
        let eos = Self::Throughput { guarantee: "eos" };
        let latency = |guarantee| Self::Latency { guarantee, rate, seconds };
        match (binary.kind, binary.owner) {
            (Kind::Ledger, "bare") => vec![eos, latency("eos"), Self::Crash],
            (Kind::Ledger, _) => vec![eos, latency("eos"), latency("alo"), Self::Crash],
            (Kind::PassThrough, _) => vec![eos],
            (Kind::Enrich, _) => vec![
                Self::Calls { records: calls.div_ceil(5), in_flight: 100 },
                Self::Calls { records: calls, in_flight: 1_000 },
            ],
        }
    }

    pub(super) fn name(&self) -> String {
        match self {
            Self::Throughput { guarantee } => format!("throughput {guarantee}"),
            Self::Latency { guarantee, .. } => format!("latency {guarantee}"),
            Self::Crash => "crash".to_owned(),
            Self::Calls { in_flight, .. } => format!("{in_flight} in flight"),
        }
    }
}

/// A started program.
#[derive(Debug)]
pub(super) struct Running {
    process: Process,
}

impl Running {
    /// User and system time so far, milliseconds.
    pub(super) fn cpu_ms(&self) -> anyhow::Result<u64> {
        let stat = self.proc("stat")?;
        // The name in brackets may hold anything, so count from its end.
        let (_, fields) = stat.rsplit_once(") ").context("reading a process's times")?;
        let ticks =
            fields.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u64>().ok());
        Ok(ticks.sum::<u64>().saturating_mul(MILLIS_PER_TICK))
    }

    /// The most memory it held, MiB.
    pub(super) fn peak_mb(&self) -> anyhow::Result<u64> {
        let status = self.proc("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes =
            line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        Ok(kilobytes.context("reading a process's memory")? >> 10)
    }

    /// Fails with the end of its log when it has ended.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        let Some(status) = self.process.ended()? else { return Ok(()) };
        let log = std::fs::read_to_string(self.process.log()).unwrap_or_default();
        let last = log.lines().next_back().unwrap_or("it said nothing");
        anyhow::bail!("it ended by itself, {status}: {last}")
    }

    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        self.process.stop(GRACE).await?;
        Ok(())
    }

    pub(super) async fn kill(mut self) -> anyhow::Result<()> {
        self.process.kill().await?;
        Ok(())
    }

    fn proc(&self, file: &str) -> anyhow::Result<String> {
        let path = format!("/proc/{}/{file}", self.process.pid());
        std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))
    }
}
