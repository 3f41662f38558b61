//! Posts about transactions that meet declared rules, redacted, once.

use clap::Parser;
use social_poster::{Config, topology};
use streams::StreamsArgs;

#[derive(Debug, Parser)]
#[command(version, about = "Posts about transactions that meet declared rules, redacted, once.")]
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
fn command_line_is_valid() {
    use clap::CommandFactory as _;
    Args::command().debug_assert();
}
