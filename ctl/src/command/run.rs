//! `bankstream run <app>`: one program of the pipeline with the servers this tool uses.
use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use anyhow::Context as _;
use streams::topology_file::TopologyFile;

use crate::cli::Shared;

/// Arguments of `bankstream run`.
///
/// The program takes this process's place: signals and the exit code are its own.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The app, as declared in the topology file.
    app: String,
    /// What is passed on to the program; `--help` lists what it takes.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Runs `bankstream run`.
#[expect(clippy::unused_async, reason = "the shape of every sub-command")]
pub async fn run(args: Args, shared: &Shared) -> anyhow::Result<ExitCode> {
    TopologyFile::load(&shared.topology_file)?.app(&args.app)?;
    let here = std::env::current_exe().context("finding the programs beside this one")?;
    let program = here.with_file_name(&args.app);
    let mut command = Command::new(&program);
    command.args(&args.arguments);
    command.env("TOPOLOGY_FILE", &shared.topology_file).env("BANKSTREAM_PROFILE", &shared.profile);
    // Without servers `--help` and `--describe` still answer; the program itself says what is missing.
    if let Ok(servers) = shared.bootstrap_servers() {
        command.env("KAFKA_BOOTSTRAP_SERVERS", servers);
    }
    if let Ok(url) = shared.schema_registry_url() {
        command.env("SCHEMA_REGISTRY_URL", url);
    }
    let error = command.exec();
    Err(error).with_context(|| {
        format!("starting {}: build it with `cargo build --bin {}`", program.display(), args.app)
    })
}
