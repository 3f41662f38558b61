//! `bankstream platform start|stop|status`.
use std::process::ExitCode;

use clap::Subcommand;
use serde::Serialize;

use crate::cli::Shared;
use crate::output;
use crate::platform::{self, Config, Lifetime, Origin, Platform, Port, Running, State};

/// Arguments of `bankstream platform`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Start Kafka and the schema registry and leave them running; nothing to do when they run.
    Start(Start),
    /// Stop what `start` started; data stay.
    Stop,
    /// Fetch the servers' jars without starting anything.
    Fetch,
    /// Print addresses, process ids and the data folder; exit code 1 when nothing runs.
    Status,
}

#[derive(Debug, clap::Args)]
struct Start {
    /// Port of Kafka on 127.0.0.1 [default: that of the last start, else 9092]
    #[arg(long)]
    kafka_port: Option<u16>,
    /// Port of the schema registry on 127.0.0.1 [default: that of the last start, else 8081]
    #[arg(long)]
    registry_port: Option<u16>,
}

/// Kafka's usual port.
pub(super) const KAFKA_PORT: u16 = 9092;
/// A Confluent registry's usual port.
pub(super) const REGISTRY_PORT: u16 = 8081;

/// What `start` and `status` answer.
#[derive(Debug, Serialize)]
struct Answer {
    bootstrap_servers: Option<String>,
    registry_url: Option<String>,
    kafka_pid: Option<u32>,
    registry_pid: Option<u32>,
    dir: std::path::PathBuf,
}

/// Runs `bankstream platform`.
pub async fn run(args: Args, shared: &Shared) -> anyhow::Result<ExitCode> {
    match args.action {
        Action::Fetch => fetch(shared).await,
        Action::Start(start) => self::start(&start, shared).await,
        Action::Stop => stop(shared).await,
        Action::Status => status(shared),
    }
}

/// The local platform this command line asks for: other servers where flags or environment name them.
pub(super) fn config(shared: &Shared, kafka: Port, registry: Port, lifetime: Lifetime) -> Config {
    let dir = shared.platform_dir();
    Config {
        lib: shared.jars_dir(),
        dir,
        kafka: Origin::new(shared.bootstrap_servers.as_deref(), kafka),
        registry: Origin::new(shared.schema_registry_url.as_deref(), registry),
        lifetime,
        progress: output::progress,
    }
}

async fn start(args: &Start, shared: &Shared) -> anyhow::Result<ExitCode> {
    // Whatever was told the addresses of the last start finds the servers there again.
    let last = State::read(&shared.platform_dir()).unwrap_or_default();
    let port = |asked: Option<u16>, last: Option<Running>, usual| {
        Port::Fixed(asked.or(last.map(|server| server.port)).unwrap_or(usual))
    };
    let kafka = port(args.kafka_port, last.kafka, KAFKA_PORT);
    let registry = port(args.registry_port, last.registry, REGISTRY_PORT);
    let config = config(shared, kafka, registry, Lifetime::UntilStopped);
    let platform = Platform::start(config).await?;
    let state = State::running(&shared.platform_dir()).unwrap_or_default();
    warn_of_port("kafka", args.kafka_port, state.kafka);
    warn_of_port("registry", args.registry_port, state.registry);
    let answer = Answer {
        bootstrap_servers: Some(platform.bootstrap_servers().to_owned()),
        registry_url: Some(platform.registry_url().to_owned()),
        ..answer(shared, &state)
    };
    print(&answer, shared.json)?;
    Ok(ExitCode::SUCCESS)
}

/// Servers that run already stay where they are.
fn warn_of_port(name: &str, asked: Option<u16>, running: Option<Running>) {
    if let (Some(asked), Some(Running { port, .. })) = (asked, running)
        && asked != port
    {
        output::progress(&format!(
            "--{name}-port {asked} is not used: the {name} of this folder runs on {port} already; \
             `bankstream platform stop` first to move it"
        ));
    }
}

async fn fetch(shared: &Shared) -> anyhow::Result<ExitCode> {
    platform::fetch(&shared.jars_dir(), output::progress).await?;
    Ok(ExitCode::SUCCESS)
}

async fn stop(shared: &Shared) -> anyhow::Result<ExitCode> {
    let stopped = Platform::stop_all(&shared.platform_dir()).await?;
    output::progress(if stopped { "stopped; the data stay" } else { "nothing was running" });
    Ok(ExitCode::SUCCESS)
}

fn status(shared: &Shared) -> anyhow::Result<ExitCode> {
    let state = State::running(&shared.platform_dir());
    print(&answer(shared, &state.unwrap_or_default()), shared.json)?;
    Ok(if state.is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn answer(shared: &Shared, state: &State) -> Answer {
    Answer {
        bootstrap_servers: state.bootstrap_servers(),
        registry_url: state.registry_url(),
        kafka_pid: state.kafka.map(|server| server.pid),
        registry_pid: state.registry.map(|server| server.pid),
        dir: shared.platform_dir(),
    }
}

fn print(answer: &Answer, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        return output::json(answer);
    }
    let line = |name: &str, address: Option<&String>, pid: Option<u32>| {
        let address = address.map_or("not running", String::as_str);
        let pid = pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default();
        output::line(&format!("{name:<9} {address}{pid}"))
    };
    line("kafka", answer.bootstrap_servers.as_ref(), answer.kafka_pid)?;
    line("registry", answer.registry_url.as_ref(), answer.registry_pid)?;
    output::line(&format!("{:<9} {}", "data", answer.dir.display()))?;
    Ok(())
}
