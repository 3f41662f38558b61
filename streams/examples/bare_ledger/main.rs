//! A ledger written by hand on the Kafka client, without the runtime: the lower bound that
//! `bankstream bench streams` compares the runtime with.
//!
//! It does what the runtime does for `ledger.rs` and nothing more: one process reads every partition,
//! dedupes, keeps balances, and commits outputs, changelogs and offsets in one transaction. It joins
//! no group, so a second instance fences the first; an error ends it, and the next start restores.
//!
//! `BOOTSTRAP`, `IN_TOPIC`, `OUT_TOPIC`, `APP_ID`, `STATE_DIR`, and `STATE`: `log` keeps state in an
//! append log with snapshots, `none` only in the changelogs.

use anyhow::bail;
use clap::Parser as _;

#[path = "../events/balance.rs"]
mod balance;
#[path = "../events/bank.rs"]
mod bank;
mod clients;
mod codec;
mod keeper;
mod ledger;
mod log;
mod pipeline;
mod report;
mod restore;
mod run;

use keeper::Keeper;

fn main() -> anyhow::Result<()> {
    let settings = clients::Settings::parse();
    let mut keeper: Box<dyn Keeper> = match settings.state.as_str() {
        "log" => Box::new(log::Log::open(settings.state_dir.clone())?),
        "none" => Box::new(keeper::Nowhere),
        other => bail!("STATE is {other}; expected log or none"),
    };
    run::run(&settings, keeper.as_mut())
}
