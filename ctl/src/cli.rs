//! The command line: options that every sub-command shares, and the list of sub-commands.
//!
//! A sub-command is one file in `command/` with an `Args` struct and
//! `pub async fn run(args: Args, shared: &Shared) -> anyhow::Result<ExitCode>`, one line in
//! `command.rs`, and here one variant and one arm.
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};

use crate::command;
use crate::platform::State;

/// Bank events as Avro records on Kafka: run, look into and repair the pipeline.
///
/// Exit codes: 0 done, 1 failed or found something (each command says what), 2 wrong usage.
#[derive(Debug, Parser)]
#[command(name = "bankstream", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    shared: Shared,
    #[command(subcommand)]
    command: Command,
}

/// Options of every sub-command.
#[derive(Debug, Clone, Args)]
pub struct Shared {
    /// Print the answer as JSON.
    #[arg(long, global = true)]
    pub json: bool,
    /// The declaration of topics, sources, apps and profiles.
    #[arg(long, global = true, env = "TOPOLOGY_FILE", default_value = "topology.toml")]
    pub topology_file: PathBuf,
    /// The profile of the declaration: testing or production.
    #[arg(long, global = true, env = "BANKSTREAM_PROFILE", default_value = "testing")]
    pub profile: String,
    /// Kafka to talk to; without it the local platform's.
    #[arg(long, global = true, env = "KAFKA_BOOTSTRAP_SERVERS", value_name = "HOST:PORT")]
    pub bootstrap_servers: Option<String>,
    /// Confluent-compatible registry to talk to, without a trailing slash; without it the local platform's.
    #[arg(long, global = true, env = "SCHEMA_REGISTRY_URL", value_name = "URL")]
    pub schema_registry_url: Option<String>,
    /// Folder of everything the local run keeps: jars, data, logs, secrets.
    #[arg(long, global = true, env = "BANKSTREAM_DIR", default_value = ".bankstream")]
    pub dir: PathBuf,
    /// Folder of the local servers' jars, when another folder has them already [default: DIR/platform/lib]
    #[arg(
        long,
        global = true,
        env = "BANKSTREAM_JARS",
        value_name = "DIR",
        hide_short_help = true
    )]
    pub jars: Option<PathBuf>,
}

impl Shared {
    /// The folder of the local servers' jars.
    pub fn jars_dir(&self) -> PathBuf {
        self.jars.clone().unwrap_or_else(|| self.platform_dir().join("lib"))
    }

    /// The folder of the local platform.
    pub fn platform_dir(&self) -> PathBuf {
        self.dir.join("platform")
    }

    /// Refuses other servers than the local platform's for a command that writes what it invents, unless
    /// they are meant: a variable that is set for other commands is not enough.
    pub fn ensure_local_or(&self, is_meant: bool, writes: &str) -> anyhow::Result<()> {
        let named = [
            ("--bootstrap-servers or KAFKA_BOOTSTRAP_SERVERS", &self.bootstrap_servers),
            ("--schema-registry-url or SCHEMA_REGISTRY_URL", &self.schema_registry_url),
        ];
        let named = named.into_iter().find_map(|(by, address)| Some((by, address.as_ref()?)));
        let Some((by, address)) = named.filter(|_| !is_meant) else { return Ok(()) };
        anyhow::bail!(
            "{address} is named ({by}), and this {writes} there; unset it to use servers of its own, \
             or add --external to mean it"
        )
    }

    /// The Kafka to use: the one named by flag or environment, else the running local platform's.
    pub fn bootstrap_servers(&self) -> anyhow::Result<String> {
        if let Some(servers) = &self.bootstrap_servers {
            return Ok(servers.clone());
        }
        State::running(&self.platform_dir()).and_then(|state| state.bootstrap_servers()).context(
            "no Kafka to talk to: run `bankstream platform start`, or set KAFKA_BOOTSTRAP_SERVERS",
        )
    }

    /// The registry to use: the one named by flag or environment, else the running local platform's.
    pub fn schema_registry_url(&self) -> anyhow::Result<String> {
        if let Some(url) = &self.schema_registry_url {
            return Ok(url.trim_end_matches('/').to_owned());
        }
        State::running(&self.platform_dir()).and_then(|state| state.registry_url()).context(
            "no schema registry to talk to: run `bankstream platform start`, or set SCHEMA_REGISTRY_URL",
        )
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A day of money on this machine: bank, webhooks, Kafka and processors.
    Demo(command::demo::Args),
    /// Kafka and the schema registry on this machine.
    Platform(command::platform::Args),
    /// One program of the pipeline, with the servers this tool uses.
    Run(command::run::Args),
    /// Load through the whole pipeline on this machine, and what came out per second.
    Bench(command::bench::Args),
    /// The declaration: checked, compared with the cluster, made so.
    Topology(command::topology::Args),
    /// Records of a topic, decoded.
    Tail(command::tail::Args),
    /// How far each app is behind what it reads.
    Lag(command::lag::Args),
    /// Where an app goes on: its committed offsets, set.
    Offsets(command::offsets::Args),
    /// Tell a running app to begin nothing new; it keeps its partitions and finishes what it began.
    Pause(command::hold::Args),
    /// Tell a paused app to go on.
    Resume(command::hold::Args),
    /// Transactions that partitions are held up by, and the end of those that hang.
    Transactions(command::transactions::Args),
    /// Records that a processor gave up: counted, shown, sent again.
    Dlq(command::dlq::Args),
    /// The bank's webhooks, a signed test sender, a verdict explained.
    Webhook(command::webhook::Args),
}

impl Cli {
    /// Runs the chosen sub-command to its end and gives the process's exit code.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let shared = self.shared;
        match self.command {
            Command::Demo(args) => command::demo::run(args, &shared).await,
            Command::Bench(args) => command::bench::run(args, &shared).await,
            Command::Run(args) => command::run::run(args, &shared).await,
            Command::Platform(args) => command::platform::run(args, &shared).await,
            Command::Topology(args) => command::topology::run(args, &shared).await,
            Command::Tail(args) => command::tail::run(args, &shared).await,
            Command::Lag(args) => command::lag::run(args, &shared).await,
            Command::Offsets(args) => command::offsets::run(args, &shared).await,
            Command::Pause(args) => command::hold::run(args, "pause", shared.json).await,
            Command::Resume(args) => command::hold::run(args, "resume", shared.json).await,
            Command::Transactions(args) => command::transactions::run(args, &shared).await,
            Command::Dlq(args) => command::dlq::run(args, &shared).await,
            Command::Webhook(args) => command::webhook::run(args, &shared).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::Cli;

    #[test]
    fn command_line_is_valid() {
        Cli::command().debug_assert();
    }
}
