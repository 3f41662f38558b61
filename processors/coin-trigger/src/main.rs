//! Drops coins when declared rules are met by transactions, and takes them back.

use clap::Parser;
use coin_trigger::{Config, topology};
use streams::StreamsArgs;

/// A third less processor time for a ledger than with the system's (`docs/PERFORMANCE.md`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Parser)]
#[command(
    version,
    about = "Drops coins when declared rules are met by transactions, and takes them back."
)]
struct Args {
    #[command(flatten)]
    streams: StreamsArgs,
    #[command(flatten)]
    config: Config,
}

fn main() -> std::process::ExitCode {
    let Args { streams, config } = Args::parse();
    streams::main(streams, |_metrics| topology(&config))
}

#[test]
fn command_line_is_valid_and_says_what_the_program_does() {
    use clap::CommandFactory as _;
    Args::command().debug_assert();
    assert!(Args::command().get_about().is_some());
}
