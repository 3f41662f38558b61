//! `bankstream platform start|stop|status`.
use std::process::ExitCode;

use clap::Subcommand;

use crate::cli::Shared;
use crate::output;
use crate::platform::State;

/// Arguments of `bankstream platform`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print addresses, process ids and the data folder; exit code 1 when nothing runs.
    Status,
}

/// Runs `bankstream platform`.
pub async fn run(args: Args, shared: &Shared) -> anyhow::Result<ExitCode> {
    match args.action {
        Action::Status => status(shared),
    }
}

fn status(shared: &Shared) -> anyhow::Result<ExitCode> {
    let dir = shared.platform_dir();
    let Some(state) = State::running(&dir) else {
        output::line("nothing runs here: `bankstream platform start` starts Kafka and the registry")?;
        return Ok(ExitCode::FAILURE);
    };
    output::json(&state)?;
    Ok(ExitCode::SUCCESS)
}
