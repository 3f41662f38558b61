//! Sends dead letters to where they came from.
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, TryLockError};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use serde_json::json;
use streams::topology_file::TopologyFile;
use streams::{Clock as _, Position, SystemClock};

use super::cluster::Cluster;
use super::filter::Filter;
use super::letter::{self, Letter};
use super::plan::{Places, Plan, Verdict};
use super::receipt;
use super::send::{RATE_MAX, Sender};
use crate::cli::Shared;
use crate::{declaration, output};

/// Progress is told every so many seconds.
const PROGRESS_SECONDS: u32 = 5;

/// The command line.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    filter: Filter,
    /// Send at most so many, the oldest first.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Only show what would be done.
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Do it.
    #[arg(long)]
    yes: bool,
    /// Send also what must fail again as far as the tool can tell. What was sent before stays passed over.
    #[arg(long)]
    force: bool,
    /// Send at most so many a second.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=i64::from(RATE_MAX)))]
    rate: u32,
}

/// Runs it.
pub(super) async fn run(args: Args, shared: &Shared) -> anyhow::Result<ExitCode> {
    let (file, _) = declaration::load(shared)?;
    let cluster = Cluster::find(shared).await?;
    let _turn = args.yes.then(|| turn(shared)).transpose()?;
    let plan = plan(&cluster, &file, &args).await?;
    if !args.yes {
        return show(&plan, args.dry_run, shared.json);
    }
    let planned = plan.count(Verdict::Send);
    let sent = if planned == 0 { 0 } else { send(&cluster, &file, &plan, args.rate).await? };
    if shared.json {
        output::json(&json!({ "plan": plan.json(), "sent": sent }))?;
    } else {
        output::line(&plan.text())?;
        output::line(&format!("sent {sent} of {planned}"))?;
    }
    let is_all = sent == planned && plan.kept_back() == 0;
    Ok(if is_all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn plan(cluster: &Cluster, file: &TopologyFile, args: &Args) -> anyhow::Result<Plan> {
    let now = SystemClock.now();
    let selection = letter::select(cluster, file, &args.filter, now).await?;
    let redriven = receipt::redriven(cluster, &selection.letters).await?;
    let places = Places::of(cluster, file, redriven, now);
    Ok(Plan::of(selection, &places, args.force, args.limit))
}

fn show(plan: &Plan, dry_run: bool, json: bool) -> anyhow::Result<ExitCode> {
    let is_nothing_left = plan.count(Verdict::Send) == 0 && plan.kept_back() == 0;
    if json {
        output::json(&json!({ "plan": plan.json(), "sent": 0 }))?;
    } else {
        output::line(&plan.text())?;
        if !dry_run && plan.count(Verdict::Send) > 0 {
            output::line("nothing was sent; --yes sends")?;
        }
    }
    Ok(if dry_run || is_nothing_left { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Only one at a time may look for what was sent and then send: else both send. Held by a lock on a
/// file, so it binds redrives that share the folder, not those of another machine.
fn turn(shared: &Shared) -> anyhow::Result<File> {
    std::fs::create_dir_all(&shared.dir)
        .with_context(|| format!("making {}", shared.dir.display()))?;
    let path = shared.dir.join("redrive.lock");
    let file = File::create(&path).with_context(|| format!("opening {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!("another redrive is under way (it holds {}); wait for its end", path.display())
        }
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("locking {}", path.display()))
        }
    }
}

/// Reads the letters again, with their values this time, and sends those of the plan in the order of
/// their partitions, which is the order of their keys. Gives how many the cluster has acknowledged.
async fn send(
    cluster: &Cluster,
    file: &TopologyFile,
    plan: &Plan,
    rate: u32,
) -> anyhow::Result<usize> {
    let mut sender = Sender::new(&cluster.servers, rate)?;
    let planned = plan.count(Verdict::Send);
    let step = usize::try_from(rate.saturating_mul(PROGRESS_SECONDS)).unwrap_or(usize::MAX);
    let mut handed_over = 0_usize;
    for (app, mut wanted) in plan.to_send() {
        let Some(topic) = file.app(app)?.dead_letters.as_deref() else { continue };
        let mut reading = cluster.read_from(topic, &starts(&wanted)).await?;
        while !wanted.is_empty() {
            let Some(record) = reading.next().await else { break };
            let record = record?;
            let letter = Letter::of(app, topic, &record);
            if !wanted.remove(&letter.position) {
                continue;
            }
            sender.send(&letter, record).await?;
            handed_over = handed_over.saturating_add(1);
            if handed_over.is_multiple_of(step) {
                output::progress(&format!("{handed_over} of {planned}"));
            }
        }
    }
    sender.finish().await?;
    Ok(sender.acknowledged())
}

fn starts(wanted: &BTreeSet<&Position>) -> BTreeMap<i32, i64> {
    let mut starts = BTreeMap::new();
    // positions come in order: the first of a partition is its lowest
    for position in wanted {
        starts.entry(position.partition).or_insert(position.offset);
    }
    starts
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use streams::Position;

    use super::starts;

    #[test]
    fn each_partition_is_read_from_its_first_letter() {
        let position = |text| Position::parse(text).unwrap();
        let all = [position("a-dlq/1/9"), position("a-dlq/0/10"), position("a-dlq/0/9")];
        let starts: Vec<(i32, i64)> =
            starts(&all.iter().collect::<BTreeSet<_>>()).into_iter().collect();
        assert_eq!(starts, [(0, 9), (1, 9)]);
    }
}
