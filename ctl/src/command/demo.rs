//! `bankstream demo`: the pipeline at work on this machine.
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::platform::{KAFKA_PORT, REGISTRY_PORT};
use crate::cli::Shared;
use crate::demo::{Lost, Options, Stage, Summary, line, table};
use crate::output;
use crate::platform::{Config, Lifetime, Origin, Port};

/// Arguments of `bankstream demo`.
///
/// Exit code 1 when the day's end is not as the bank says.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// End after one day; without it, day follows day until Ctrl-C.
    #[arg(long)]
    once: bool,
    /// How many seconds a day takes.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(5..=3_600))]
    seconds: u64,
    /// Steps a second that the bank makes.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=200))]
    rate: u32,
    /// What the bank's ids and days follow from; new ones every time without it. A seed that the
    /// demo's folder has seen before brings old ids back, which are then recognised as repeated.
    #[arg(long)]
    seed: Option<u64>,
    /// Use the Kafka and the registry that are named by flag or environment: the demo writes invented
    /// events there and its processors join the groups of the apps.
    #[arg(long)]
    external: bool,
}

/// How long after a day the last webhooks, calls and comparisons may take.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(90);

/// How long an account must be quiet before a difference counts as unexplained. Minutes in earnest;
/// here a day takes one.
const QUIET_PERIOD: &str = "4s";

/// A bank on an ordinary bad day.
const BANK_FLAGS: [&str; 8] = [
    "--accounts",
    "3",
    "--fault-duplicate-percent",
    "5",
    "--fault-reorder-percent",
    "5",
    "--fault-forged-percent",
    "4",
];

/// Runs `bankstream demo`.
pub async fn run(args: Args, shared: &Shared) -> anyhow::Result<ExitCode> {
    shared.ensure_local_or(
        args.external,
        "writes invented events and joins the groups of the apps",
    )?;
    let mut interrupt = Interrupt::new()?;
    let mut stage = tokio::select! {
        stage = start(&args, shared) => stage?,
        () = interrupt.received() => return Ok(ExitCode::SUCCESS),
    };
    let code = tokio::select! {
        code = run_days(&mut stage, &args, shared.json) => code,
        () = interrupt.received() => Ok(ExitCode::SUCCESS),
    };
    output::progress("stopping");
    stage.stop().await?;
    code
}

async fn start(args: &Args, shared: &Shared) -> anyhow::Result<Stage> {
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..));
    let stage = Stage::start(options(shared, "demo", seed)?).await?;
    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("bankstream"));
    output::progress(&format!(
        "running; look inside from another terminal: {} --dir {} tail bank.transactions.enriched.v1 --follow",
        program.display(),
        shared.dir.join("demo").display()
    ));
    Ok(stage)
}

/// A stage in the folder `name` of the local run.
pub(super) fn options(shared: &Shared, name: &str, seed: u64) -> anyhow::Result<Options> {
    let dir = shared.dir.join(name);
    let program = std::env::current_exe().context("finding the programs beside this one")?;
    let platform = Config {
        lib: shared.jars_dir(),
        dir: dir.join("platform"),
        kafka: Origin::new(shared.bootstrap_servers.as_deref(), Port::Preferred(KAFKA_PORT)),
        registry: Origin::new(
            shared.schema_registry_url.as_deref(),
            Port::Preferred(REGISTRY_PORT),
        ),
        lifetime: Lifetime::WithUs,
        progress: output::progress,
    };
    Ok(Options {
        bin: program.parent().map(PathBuf::from).unwrap_or_default(),
        dir,
        topology_file: shared.topology_file.clone(),
        platform,
        seed,
        bank_flags: BANK_FLAGS.map(str::to_owned).into(),
        quiet_period: QUIET_PERIOD.to_owned(),
        processor_env: Vec::new(),
    })
}

async fn run_days(stage: &mut Stage, args: &Args, as_json: bool) -> anyhow::Result<ExitCode> {
    loop {
        let summary = day(stage, args, as_json).await?;
        if as_json {
            output::json(&summary)?;
        } else {
            output::line(&format!("\n{}", table(&summary)))?;
        }
        if args.once {
            return Ok(if summary.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    }
}

async fn day(stage: &mut Stage, args: &Args, as_json: bool) -> anyhow::Result<Summary> {
    let began = Instant::now();
    stage.bank.run_day(args.rate, args.seconds).await?;
    let mut seconds = interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut raw_before = stage.watch.totals().raw;
    let mut lost: Option<Lost> = None;
    loop {
        seconds.tick().await;
        let second = began.elapsed().as_secs();
        stage.check()?;
        let look = stage.look().await?;
        if !as_json {
            output::line(&line(second, &look, raw_before))?;
        }
        raw_before = look.totals.raw;
        if lost.is_none() && second >= args.seconds / 2 {
            lost = Some(stage.lose_a_webhook().await?);
            continue;
        }
        let is_late = second > args.seconds.saturating_add(SETTLE_TIMEOUT.as_secs());
        if is_late || second >= args.seconds && look.is_at_rest() {
            return Ok(look.summary(&stage.bank.events().await?, lost));
        }
    }
}

/// Ctrl-C, or the request to end.
struct Interrupt {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupt {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).context("watching for Ctrl-C")?,
            terminate: signal(SignalKind::terminate()).context("watching for SIGTERM")?,
        })
    }

    async fn received(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
