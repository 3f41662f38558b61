//! Keeps the books of every account and holds them against the balance the bank states.

use std::process::ExitCode;

use balance_reconciler::{Config, outline, topology};
use clap::Parser;

/// A third less processor time for a ledger than with the system's (`docs/PERFORMANCE.md`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
    let Args { streams, config } = Args::parse();
    let describe = streams.describe;
    streams::main(
        streams,
        |metrics| {
            if describe { outline(&config) } else { topology(&config, metrics) }
        },
    )
}

#[test]
fn command_line_is_valid_and_says_what_the_program_does() {
    use clap::CommandFactory as _;
    Args::command().debug_assert();
    assert!(Args::command().get_about().is_some());
}
