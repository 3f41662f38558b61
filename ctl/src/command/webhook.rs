//! `bankstream webhook`: the bank's webhooks, a signed test sender, a verdict explained.
mod bank;
mod canary;
mod captured;
mod secret_file;
mod send;
mod verify;

use std::process::ExitCode;

use clap::Subcommand;

use crate::cli::Shared;

pub use secret_file::{SecretFile, SecretFileError};

/// The command line.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Asks the bank to post events to a URL, and keeps the secret it shows once in a file that only
    /// its owner can read.
    Create(bank::Create),
    /// Lists the webhooks of the token.
    List(bank::Connection),
    /// Asks the bank to post a PING.
    Ping(bank::One),
    /// Shows the bank's newest delivery attempts.
    Logs(bank::Logs),
    /// Deletes a webhook at the bank; the secret's file stays.
    Delete(bank::One),
    /// Posts a signed test event, and again as often as asked: the first is `received`, the others
    /// are an `idempotent_replay`. Exit code 1 when an answer is not 2xx.
    Send(send::Args),
    /// Posts signed requests that are no events through the public door, once as a smoke test or one
    /// a minute; the ingress counts them apart. Exit code 1 when one was not accepted.
    Canary(canary::Args),
    /// Lists the requests that the ingress rejected and kept, and explains one of them. Exit code with
    /// --explain: 0 accepted, 1 rejected, 2 wrong usage.
    Captured(captured::Args),
    /// Judges a request offline and explains the verdict. Exit code 0 accepted, 1 rejected, 2 wrong
    /// usage.
    Verify(verify::Args),
}

/// Runs it.
pub async fn run(args: Args, shared: &Shared) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::Create(args) => bank::create(args, shared).await,
        Command::List(connection) => bank::list(&connection, shared.json).await,
        Command::Ping(args) => bank::ping(&args, shared.json).await,
        Command::Logs(args) => bank::logs(&args, shared.json).await,
        Command::Delete(args) => bank::delete(&args, shared.json).await,
        Command::Send(args) => send::run(args, shared).await,
        Command::Canary(args) => canary::run(args, shared).await,
        Command::Captured(args) => captured::run(&args, shared).await,
        Command::Verify(args) => Ok(verify::run(&args, shared)),
    }
}
