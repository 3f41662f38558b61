//! Takes the banks' webhooks and puts them on the raw topic.
//!
//! | | |
//! |---|---|
//! | in | `POST` on each declared source's path; `/livez`, `/readyz`, `/health`, `/metrics`, `/events` |
//! | out | `bank.webhooks.received.v1`, key: source and subject id; where it is wanted `bank.webhooks.rejected.v1`, key: source |
//! | sources, secrets, limits | `[sources.*]` and `[profiles.*]` of `topology.toml`, flags below |

use std::process::ExitCode;

use clap::Parser;
use ingress::config::Config;
use ingress::{server, telemetry};

#[derive(Debug, Parser)]
#[command(
    version,
    about = "Verifies webhooks and puts them on the raw topic.",
    after_help = "Exit codes: 0 stopped by a signal after finishing what was begun; 1 cannot start or \
                  cannot go on, with the reason in the log; 2 wrong usage."
)]
struct Args {
    #[command(flatten)]
    config: Config,
    #[command(flatten)]
    telemetry: telemetry::Options,
}

fn main() -> ExitCode {
    let args = Args::parse();
    telemetry::init(&args.telemetry);
    match server::main(&args.config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

#[test]
fn command_line_is_valid() {
    use clap::CommandFactory as _;
    Args::command().debug_assert();
}
