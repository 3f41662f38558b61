//! Takes the banks' webhooks and puts them on the raw topic.
//!
//! | | |
//! |---|---|
//! | in | `POST` on each declared source's path; `/livez`, `/readyz`, `/health`, `/metrics`, `/events` |
//! | out | `bank.webhooks.received.v1`, key: source and subject id; where it is wanted `bank.webhooks.rejected.v1`, key: source |
//! | sources, secrets, limits | `[sources.*]` and `[profiles.*]` of `topology.toml`, flags below |

use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory as _, Parser};
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
    let args = Args::try_parse().unwrap_or_else(|error| named(error).exit());
    telemetry::init(&args.telemetry);
    match server::main(&args.config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Names the variable of a flag whose value is wrong: most are set by their variables, and the error
/// would know only the flag's own name.
fn named(mut error: clap::Error) -> clap::Error {
    let Some(ContextValue::String(wrong)) = error.get(ContextKind::InvalidArg) else {
        return error;
    };
    let mut command = Args::command();
    command.build();
    let flag = command.get_arguments().find(|flag| flag.to_string() == *wrong);
    if let Some(variable) = flag.and_then(clap::Arg::get_env) {
        let tip = format!("it is set by the flag or by {}", variable.display());
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    error
}

#[test]
fn a_wrong_value_is_said_with_its_flag_its_variable_and_what_was_expected() {
    for (flag, variable, expect) in [
        ("--rejected-rate", "INGRESS_REJECTED_RATE", "expected a whole number"),
        ("--body-limit", "INGRESS_BODY_LIMIT", "expected a whole number"),
        ("--capture-limit", "INGRESS_CAPTURE_LIMIT", "expected a whole number"),
        ("--drain", "INGRESS_DRAIN", "expected a span"),
        ("--trusted-proxy", "INGRESS_TRUSTED_PROXIES", "expected"),
    ] {
        let error = named(Args::try_parse_from(["ingress", flag, "abc"]).unwrap_err()).to_string();
        for part in [flag, variable, expect, "abc"] {
            assert!(error.contains(part), "`{error}` should contain `{part}`");
        }
    }
}

#[test]
fn command_line_is_valid() {
    Args::command().debug_assert();
}
