//! `bankstream offsets set`: where an app goes on.
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use clap::Subcommand;
use serde::Serialize;
use streams::Names;
use streams::admin::{Admin, GroupOffset, ResetTo};

use crate::cli::Shared;
use crate::table::Table;
use crate::{declaration, output, patience};

/// The command line; `bankstream lag` shows the offsets as they are.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Sets the committed offsets of an app that is stopped, in one topic that it reads.
    ///
    /// Records from there on are handled, again where they were before; records before are not. An app
    /// that keeps state halts at its next start where its state has seen what it would read again: for
    /// such a repair, `bankstream run APP --run-id ID` replays beside live operation.
    Set(Set),
}

#[derive(Debug, clap::Args)]
struct Set {
    /// The app, as declared.
    #[arg(long)]
    app: String,
    /// A topic it reads.
    #[arg(long)]
    topic: String,
    /// Only these partitions; all of the topic's without it.
    #[arg(long, value_name = "N", value_delimiter = ',')]
    partition: Vec<i32>,
    /// `earliest`, `latest`, an offset (with --partition), or a time such as 2026-01-31T09:30:00Z:
    /// the first record of that time or a later one.
    #[arg(long, value_parser = place)]
    to: ResetTo,
    /// The group of this run instead of the live one.
    #[arg(long, env = "BANKSTREAM_RUN_ID", value_name = "ID")]
    run_id: Option<String>,
    /// Only show what would be set.
    #[arg(long)]
    dry_run: bool,
}

/// An offset before and after.
#[derive(Debug, Serialize)]
struct Moved {
    topic: String,
    partition: i32,
    before: Option<i64>,
    after: i64,
    /// Offset the next record of the partition will get.
    end: i64,
}

fn place(text: &str) -> Result<ResetTo, String> {
    match text {
        "earliest" => return Ok(ResetTo::Earliest),
        "latest" => return Ok(ResetTo::Latest),
        _ => {}
    }
    if let Some(offset) = text.parse::<i64>().ok().filter(|offset| *offset >= 0) {
        return Ok(ResetTo::Offset(offset));
    }
    text.parse::<jiff::Timestamp>().map(|at| ResetTo::Time(at.as_millisecond())).map_err(|_| {
        "expected `earliest`, `latest`, an offset, or a time such as 2026-01-31T09:30:00Z"
            .to_owned()
    })
}

/// Runs it.
pub async fn run(args: Args, shared: &Shared) -> anyhow::Result<ExitCode> {
    let Action::Set(set) = args.action;
    let (file, _) = declaration::load(shared)?;
    let app = file.app(&set.app)?;
    let written = app.all_writes().into_iter().map(str::to_owned).collect();
    let names = Names::new(set.run_id.clone(), written);
    let read: Vec<String> = app.reads().into_iter().map(|topic| names.read(topic)).collect();
    ensure!(
        read.contains(&set.topic),
        "app `{}` does not read `{}`; it reads {}",
        set.app,
        set.topic,
        read.join(", ")
    );
    ensure!(
        !set.partition.is_empty() || !matches!(set.to, ResetTo::Offset(_)),
        "an offset is a place in one partition: say which with --partition"
    );
    let admin = Admin::new(&shared.bootstrap_servers()?)?;
    let group = names.written(&set.app);
    let offsets = wanted(&admin, &group, &set).await?;
    let moved: Vec<Moved> =
        offsets.iter().filter_map(|(before, after)| moved(before, after)).collect();
    if !set.dry_run {
        let after: Vec<GroupOffset> = offsets.into_iter().map(|(_, after)| after).collect();
        admin.set_group_offsets(&group, &after).await?;
    }
    if shared.json {
        output::json(
            &serde_json::json!({ "group": group, "set": !set.dry_run, "offsets": moved }),
        )?;
    } else {
        output::line(&render(&moved))?;
        let said = if set.dry_run { "nothing is set" } else { "set; start the app again" };
        output::line(&format!("group {group}: {said}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The offsets before and after, each within what its partition holds.
async fn wanted(
    admin: &Admin,
    group: &str,
    set: &Set,
) -> anyhow::Result<Vec<(GroupOffset, GroupOffset)>> {
    let topics = patience::topics(admin).await?;
    let state = topics
        .get(&set.topic)
        .with_context(|| format!("no topic `{}` on {}", set.topic, admin.servers()))?;
    for partition in &set.partition {
        ensure!(
            (0..state.partitions).contains(partition),
            "`{}` has partitions 0 to {}, not {partition}",
            set.topic,
            state.partitions.saturating_sub(1)
        );
    }
    let asked = [(set.topic.clone(), state.partitions)];
    let mut before = admin.group_offsets(group, &asked).await?;
    before.retain(|at| set.partition.is_empty() || set.partition.contains(&at.partition));
    let partitions: Vec<i32> = before.iter().map(|at| at.partition).collect();
    let after = admin.offsets_at(&set.topic, &partitions, set.to).await?;
    let mut pairs = Vec::with_capacity(before.len());
    for (before, (partition, offset)) in before.into_iter().zip(after) {
        let ends = before.watermarks;
        ensure!(
            (ends.low..=ends.high).contains(&offset),
            "partition {partition} of `{}` holds offsets {} to {}; {offset} is outside",
            set.topic,
            ends.low,
            ends.high
        );
        let after = GroupOffset { committed: Some(offset), ..before.clone() };
        pairs.push((before, after));
    }
    Ok(pairs)
}

fn moved(before: &GroupOffset, after: &GroupOffset) -> Option<Moved> {
    Some(Moved {
        topic: before.topic.clone(),
        partition: before.partition,
        before: before.committed,
        after: after.committed?,
        end: before.watermarks.high,
    })
}

fn render(moved: &[Moved]) -> String {
    let mut table = Table::new(&["topic", "partition", "before", "after", "end"]);
    for Moved { topic, partition, before, after, end } in moved {
        let before = before.map_or("-".to_owned(), |offset| offset.to_string());
        table.row(&[
            topic.clone(),
            partition.to_string(),
            before,
            after.to_string(),
            end.to_string(),
        ]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use streams::admin::ResetTo;

    use super::place;

    #[test]
    fn a_place_is_a_word_an_offset_or_a_time() {
        assert_eq!(place("earliest"), Ok(ResetTo::Earliest));
        assert_eq!(place("latest"), Ok(ResetTo::Latest));
        assert_eq!(place("17"), Ok(ResetTo::Offset(17)));
        assert_eq!(place("1970-01-01T00:00:02Z"), Ok(ResetTo::Time(2_000)));
        for wrong in ["", "-1", "newest", "2026-01-31", "1.5"] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
    }
}
