//! `bankstream lag`: how far each app is behind what it reads.
use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use anyhow::Context as _;
use serde::Serialize;
use streams::Names;
use streams::admin::{Admin, GroupOffset, TopicState};
use streams::topology_file::AppDeclaration;

use crate::cli::Shared;
use crate::table::Table;
use crate::{declaration, output, patience};

/// The command line.
///
/// Exit code 0 whatever the lag is: it is a number, not a verdict.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this app.
    #[arg(long)]
    app: Option<String>,
    /// The group of this run instead of the live one.
    #[arg(long, env = "BANKSTREAM_RUN_ID", value_name = "ID")]
    run_id: Option<String>,
    /// Only partitions with a lag.
    #[arg(long)]
    behind: bool,
}

/// How far one app is in one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lag {
    /// The app.
    pub app: String,
    /// What it reads.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Offset of the next record it will read; none when it never committed.
    pub committed: Option<i64>,
    /// Offset the next record of the partition will get.
    pub end: i64,
    /// Records in between.
    pub lag: i64,
    /// False when the group commits offsets, but none in this topic: a part of the app that is
    /// declared and not configured, such as a hook without an address. It counts in no total.
    pub is_read: bool,
}

/// Runs it.
pub async fn run(args: Args, shared: &Shared) -> anyhow::Result<ExitCode> {
    let (file, _) = declaration::load(shared)?;
    let apps: Vec<&AppDeclaration> = match &args.app {
        Some(id) => vec![file.app(id)?],
        None => file.apps().values().collect(),
    };
    let admin = Admin::new(&shared.bootstrap_servers()?)?;
    let topics = patience::topics(&admin).await?;
    let mut lags = Vec::new();
    for app in apps {
        lags.extend(lag_of(&admin, &topics, app, args.run_id.as_deref()).await?);
    }
    lags.retain(|lag| !args.behind || (lag.is_read && lag.lag > 0));
    if shared.json {
        output::json(&serde_json::json!({ "partitions": lags }))?;
    } else {
        output::line(&render(&lags))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// How far `app` is in every partition of every topic it reads; `topics` are those of the cluster. A
/// topic that is not there is passed over.
pub async fn lag_of(
    admin: &Admin,
    topics: &BTreeMap<String, TopicState>,
    app: &AppDeclaration,
    run_id: Option<&str>,
) -> anyhow::Result<Vec<Lag>> {
    let written = app.all_writes().into_iter().map(str::to_owned).collect();
    let names = Names::new(run_id.map(str::to_owned), written);
    let reads = app.reads().into_iter().map(|topic| names.read(topic));
    let asked: Vec<(String, i32)> =
        reads.filter_map(|topic| Some((topic.clone(), topics.get(&topic)?.partitions))).collect();
    let offsets = admin.group_offsets(&names.written(&app.id), &asked).await;
    let offsets = offsets.with_context(|| format!("asking for the offsets of `{}`", app.id))?;
    Ok(judge(&app.id, offsets))
}

fn judge(app: &str, offsets: Vec<GroupOffset>) -> Vec<Lag> {
    let committed: BTreeSet<String> = offsets
        .iter()
        .filter(|offset| offset.committed.is_some())
        .map(|offset| offset.topic.clone())
        .collect();
    let lag = |offset: GroupOffset| {
        let lag = offset.lag();
        let GroupOffset { topic, partition, committed: at, watermarks } = offset;
        // a group without any offset has not begun: all of it is lag
        let is_read = committed.is_empty() || committed.contains(&topic);
        let app = app.to_owned();
        Lag { app, topic, partition, committed: at, end: watermarks.high, lag, is_read }
    };
    offsets.into_iter().map(lag).collect()
}

fn render(lags: &[Lag]) -> String {
    let mut table = Table::new(&["app", "topic", "partition", "committed", "end", "lag"]);
    for lag in lags {
        let committed = lag.committed.map_or("-".to_owned(), |offset| offset.to_string());
        table.row(&[
            lag.app.clone(),
            lag.topic.clone(),
            lag.partition.to_string(),
            committed,
            lag.end.to_string(),
            if lag.is_read { lag.lag.to_string() } else { "not read".to_owned() },
        ]);
    }
    let read = lags.iter().filter(|lag| lag.is_read);
    let total: i64 = read.fold(0, |sum, lag| sum.saturating_add(lag.lag));
    format!("{}\ntotal lag {total}", table.render())
}

#[cfg(test)]
mod tests {
    use streams::admin::{GroupOffset, Watermarks};

    use super::{judge, render};

    fn offset(topic: &str, partition: i32, committed: Option<i64>, high: i64) -> GroupOffset {
        let watermarks = Watermarks { low: 0, high };
        GroupOffset { topic: topic.to_owned(), partition, committed, watermarks }
    }

    #[test]
    fn lag_is_shown_by_partition_and_in_total() {
        let lags = judge(
            "dropper",
            vec![
                offset("moves", 0, Some(7), 10),
                offset("moves", 1, None, 2),
                offset("drops", 0, None, 9),
            ],
        );
        insta::assert_snapshot!(render(&lags), @r"
        APP      TOPIC  PARTITION  COMMITTED  END  LAG
        dropper  moves  0          7          10   3
        dropper  moves  1          -          2    2
        dropper  drops  0          -          9    not read
        total lag 5
        ");
    }

    #[test]
    fn a_group_that_never_began_is_behind_by_everything() {
        let lags = judge("dropper", vec![offset("moves", 0, None, 4), offset("drops", 0, None, 5)]);
        assert_eq!(
            lags.iter().map(|lag| (lag.lag, lag.is_read)).collect::<Vec<_>>(),
            [(4, true), (5, true)]
        );
    }
}
