//! Keeps the books of every account and holds them against the balance the bank states.

use std::process::ExitCode;

use balance_reconciler::{Config, topology};
use clap::Parser;

/// Keeps the books of every account and holds them against the balance the bank states.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    #[command(flatten)]
    streams: streams::StreamsArgs,
    #[command(flatten)]
    config: Config,
}

fn main() -> ExitCode {
    let args = Args::parse();
    streams::main(args.streams, || topology(&args.config))
}

#[test]
fn command_line_is_valid() {
    use clap::CommandFactory as _;
    Args::command().debug_assert();
}
