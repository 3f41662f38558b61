//! `bankstream`, the operator's tool.
use std::process::ExitCode;

use clap::Parser as _;
use ctl::cli::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return ctl::output::failure(&anyhow::Error::new(error)),
    };
    match runtime.block_on(cli.run()) {
        Ok(code) => code,
        Err(error) => ctl::output::failure(&error),
    }
}
