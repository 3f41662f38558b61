//! `bankstream dlq`: dead letters counted, shown, and sent again.
mod cluster;
mod filter;
mod letter;
mod list;
mod plan;
mod receipt;
mod redrive;
mod send;
mod show;

use std::process::ExitCode;

use clap::Subcommand;

use crate::cli::Shared;

/// The command line.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Counts them by app, error and the topic they came from.
    ///
    /// Exit code 0 whatever there is: it is a number, not a verdict.
    List(list::Args),
    /// Shows one: why it is one, its value, its headers, where it came from.
    Show(show::Args),
    /// Sends them to where they came from, as they were: bytes, key, time, headers, partition.
    ///
    /// Without --yes it only shows what it would do. A letter that was sent before is passed over: the
    /// record it became carries a header `__streams.redriven` that names it. A letter that must fail
    /// again is refused, unless forced. Every app that reads the topic reads the record again.
    ///
    /// Exit code 0: nothing that matches is left to send. 1: something is, because it was refused, or
    /// --yes was missing. --dry-run is 0 whatever it shows.
    Redrive(redrive::Args),
}

/// Runs it.
pub async fn run(args: Args, shared: &Shared) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::List(args) => list::run(args, shared).await,
        Command::Show(args) => show::run(args, shared).await,
        Command::Redrive(args) => redrive::run(args, shared).await,
    }
}
