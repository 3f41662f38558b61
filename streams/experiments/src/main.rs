//! The hand-written ledger with its state in an LSM tree: `STATE=fjall-commit` writes it with every
//! commit, `STATE=fjall-second` once a second. `log` and `none` are those of
//! `streams/examples/bare_ledger`, built the same way.

use std::time::Duration;

use anyhow::bail;
use clap::Parser as _;

#[path = "../../examples/events/balance.rs"]
mod balance;
#[path = "../../examples/events/bank.rs"]
mod bank;
#[path = "../../examples/bare_ledger/clients.rs"]
mod clients;
#[path = "../../examples/bare_ledger/codec.rs"]
mod codec;
#[path = "../../examples/bare_ledger/keeper.rs"]
mod keeper;
#[path = "../../examples/bare_ledger/ledger.rs"]
mod ledger;
#[path = "../../examples/bare_ledger/log.rs"]
mod log;
mod lsm;
#[path = "../../examples/bare_ledger/pipeline.rs"]
mod pipeline;
#[path = "../../examples/bare_ledger/report.rs"]
mod report;
#[path = "../../examples/bare_ledger/restore.rs"]
mod restore;
#[path = "../../examples/bare_ledger/run.rs"]
mod run;

use keeper::Keeper;

fn main() -> anyhow::Result<()> {
    let settings = clients::Settings::parse();
    let dir = settings.state_dir.clone();
    let mut keeper: Box<dyn Keeper> = match settings.state.as_str() {
        "log" => Box::new(log::Log::open(dir)?),
        "none" => Box::new(keeper::Nowhere),
        "fjall-commit" => Box::new(lsm::Lsm::open(&dir, Duration::ZERO)?),
        "fjall-second" => Box::new(lsm::Lsm::open(&dir, Duration::from_secs(1))?),
        other => bail!("STATE is {other}; expected log, none, fjall-commit or fjall-second"),
    };
    run::run(&settings, keeper.as_mut())
}
