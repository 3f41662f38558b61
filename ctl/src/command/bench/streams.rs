//! `bankstream bench streams`: the runtime beside a ledger written by hand, on a Kafka of this machine.
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde::Serialize;

use crate::cli::Shared;
use crate::output;
use crate::platform::{Config, Lifetime, Origin, Platform, Port};
use crate::table::Table;

mod bank;
mod cluster;
mod crash;
mod data;
mod event;
mod latency;
mod load;
mod program;
mod verify;

use cluster::Cluster;
use data::Data;
use load::Measured;
use program::{Job, Kind};

/// Arguments of `bankstream bench streams`.
///
/// The programs are `streams/examples/{ledger,pass_through,enrich}.rs` and `bare_ledger`, built with
/// `cargo build --release --package streams --examples`; every output of every run is read back and
/// compared with what has to come out. Exit code 1 when one is missing, double or wrong.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Records of the input.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1_000..=20_000_000))]
    records: u32,
    /// Accounts they are spread over.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    accounts: u32,
    /// Records a second while latency is measured.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
    /// Seconds of it.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// Records of the enrichment, 1000 calls of 20 ms in flight.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1_000..=1_000_000))]
    calls: u32,
    /// Run only what has one of these in its name.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// A folder with programs to compare with, `ledger` and `pass_through`, that take the same
    /// environment as the examples.
    #[arg(long, value_name = "DIR")]
    peers: Option<PathBuf>,
}

/// Partitions of every topic.
const PARTITIONS: i32 = 8;
/// How long one program may take.
const RUN_TIMEOUT: Duration = Duration::from_mins(10);

/// Runs `bankstream bench streams`.
pub(super) async fn run(args: Args, shared: &Shared) -> anyhow::Result<ExitCode> {
    let dir = shared.dir.join("bench-streams");
    let measured = if let Some(servers) = &shared.bootstrap_servers {
        measure(&args, &dir, servers).await
    } else {
        let platform = Platform::start(platform(shared, &dir)).await?;
        let measured = measure(&args, &dir, platform.bootstrap_servers()).await;
        platform.stop().await?;
        measured
    };
    let measured = measured?;
    if shared.json {
        output::json(&measured)?;
    } else {
        output::line(&table(&measured).render())?;
        for ratio in ratios(&measured) {
            output::line(&ratio)?;
        }
        for bound in measured.iter().filter_map(bound) {
            output::line(&bound)?;
        }
    }
    let is_exact = measured.iter().all(|run| run.quality.is_exact());
    Ok(if is_exact { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A Kafka for the bench alone.
fn platform(shared: &Shared, dir: &Path) -> Config {
    Config {
        dir: dir.join("platform"),
        lib: shared.jars_dir(),
        kafka: Origin::Local(Port::Free),
        // The examples know their schemas: nobody asks a registry.
        registry: Origin::External(String::new()),
        lifetime: Lifetime::WithUs,
        progress: output::progress,
    }
}

async fn measure(args: &Args, dir: &Path, servers: &str) -> anyhow::Result<Vec<Measured>> {
    let programs = programs(args)?;
    let cluster = Cluster::new(servers)?;
    let data = Data { records: u64::from(args.records), accounts: args.accounts };
    output::progress(&format!("writing {} records", args.records));
    cluster.create(load::INPUT, PARTITIONS).await?;
    load::fill(&cluster, load::INPUT, &data)?;
    let mut measured = Vec::new();
    for program in &programs {
        for job in Job::of(program, args.rate, args.seconds, args.calls) {
            let name = format!("{} {}", program.name, job.name());
            if !args.only.is_empty() && !args.only.iter().any(|part| name.contains(part)) {
                continue;
            }
            output::progress(&name);
            let stand = load::Stand { cluster: &cluster, data: &data, dir, program, name };
            measured.push(stand.run(&job).await.with_context(|| stand.name.clone())?);
        }
    }
    Ok(measured)
}

fn programs(args: &Args) -> anyhow::Result<Vec<program::Binary>> {
    let ours = std::env::current_exe().context("finding the examples beside this program")?;
    let ours = ours.parent().unwrap_or(Path::new(".")).join("examples");
    let mut all = vec![
        program::Binary::new("bare", Kind::Ledger, ours.join("bare_ledger")),
        program::Binary::new("ours", Kind::Ledger, ours.join("ledger")),
        program::Binary::new("ours", Kind::PassThrough, ours.join("pass_through")),
        program::Binary::new("ours", Kind::Enrich, ours.join("enrich")),
    ];
    if let Some(peers) = &args.peers {
        all.push(program::Binary::new("peer", Kind::Ledger, peers.join("ledger")));
        all.push(program::Binary::new("peer", Kind::PassThrough, peers.join("pass_through")));
    }
    for program in &all {
        ensure!(
            program.path.exists(),
            "{} is missing: cargo build --release --package streams --examples",
            program.path.display()
        );
    }
    Ok(all)
}

fn table(measured: &[Measured]) -> Table {
    let mut table = Table::new(&[
        "run",
        "records/s",
        "cpu s/M",
        "MB",
        "p50 ms",
        "p99 ms",
        "back ms",
        "restored/s",
        "outputs",
    ]);
    let cell = |number: Option<u64>| number.map_or("-".to_owned(), |number| number.to_string());
    for run in measured {
        table.row(&[
            run.name.clone(),
            cell(run.records_per_second),
            cell(run.cpu_ms_per_million.map(|ms| ms.div_ceil(1_000))),
            cell(run.peak_mb),
            cell(run.p50_us.map(|us| us.div_ceil(1_000))),
            cell(run.p99_us.map(|us| us.div_ceil(1_000))),
            cell(run.back_ms),
            cell(run.restored_per_second),
            run.quality.to_string(),
        ]);
    }
    table
}

/// Ours against the others, for every run that has another of the same job.
fn ratios(measured: &[Measured]) -> Vec<String> {
    let mut lines = Vec::new();
    for ours in measured.iter().filter(|run| run.program == "ours") {
        for other in measured.iter().filter(|run| run.program != "ours" && run.job == ours.job) {
            let mut parts = Vec::new();
            for (what, ours, other) in [
                ("records/s", ours.records_per_second, other.records_per_second),
                ("cpu", ours.cpu_ms_per_million, other.cpu_ms_per_million),
                ("memory", ours.peak_mb, other.peak_mb),
                ("p50", ours.p50_us, other.p50_us),
                ("p99", ours.p99_us, other.p99_us),
                ("back", ours.back_ms, other.back_ms),
            ] {
                if let (Some(ours), Some(other @ 1..)) = (ours, other) {
                    let hundredths = ours.saturating_mul(100) / other;
                    parts.push(format!("{what} {}.{:02}", hundredths / 100, hundredths % 100));
                }
            }
            lines.push(format!("ours / {} {}: {}", other.program, ours.job, parts.join(", ")));
        }
    }
    lines
}

/// What a run was of what its calls allow, as many at a time as are in flight, or of what one core
/// does, whichever is less.
fn bound(run: &Measured) -> Option<String> {
    let (bank_us, in_flight) = (run.bank_us?, run.in_flight?);
    let calls = in_flight.saturating_mul(1_000_000).checked_div(bank_us)?;
    let core = 1_000_000_000_u64.checked_div(run.cpu_ms_per_million?)?;
    let percent = run.records_per_second?.saturating_mul(100).checked_div(calls.min(core))?;
    let millis = format!("{}.{:02}", bank_us / 1_000, bank_us % 1_000 / 10);
    let name = &run.name;
    Some(format!(
        "{name}: the bank took {millis} ms a call, so it allows {calls} records/s, and one core does \
         {core}: {percent} % of the less"
    ))
}

/// What came out, compared with what has to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Quality {
    missing: u64,
    double: u64,
    wrong: u64,
}

impl Quality {
    fn is_exact(self) -> bool {
        self == Self::default()
    }
}

impl std::fmt::Display for Quality {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_exact() {
            return f.write_str("exact");
        }
        write!(f, "{} missing, {} double, {} wrong", self.missing, self.double, self.wrong)
    }
}
