//! `bankstream lag`: how far each app is behind what it reads.
use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Context as _;
use serde::Serialize;
use streams::Names;
use streams::admin::{Admin, GroupOffset, TopicState};
use streams::topology_file::AppDeclaration;

use crate::cli::Shared;
use crate::table::Table;
use crate::{declaration, output};

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
}

/// Runs it.
pub async fn run(args: Args, shared: &Shared) -> anyhow::Result<ExitCode> {
    let (file, _) = declaration::load(shared)?;
    let apps: Vec<&AppDeclaration> = match &args.app {
        Some(id) => vec![file.app(id)?],
        None => file.apps().values().collect(),
    };
    let admin = Admin::new(&shared.bootstrap_servers()?)?;
    let topics = admin.topics().await?;
    let mut lags = Vec::new();
    for app in apps {
        lags.extend(lag_of(&admin, &topics, app, args.run_id.as_deref()).await?);
    }
    lags.retain(|lag| !args.behind || lag.lag > 0);
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
    Ok(offsets.into_iter().map(|offset| of(&app.id, offset)).collect())
}

fn of(app: &str, offset: GroupOffset) -> Lag {
    let lag = offset.lag();
    let GroupOffset { topic, partition, committed, watermarks } = offset;
    Lag { app: app.to_owned(), topic, partition, committed, end: watermarks.high, lag }
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
            lag.lag.to_string(),
        ]);
    }
    let total: i64 = lags.iter().fold(0, |sum, lag| sum.saturating_add(lag.lag));
    format!("{}\ntotal lag {total}", table.render())
}

#[cfg(test)]
mod tests {
    use super::{Lag, render};

    #[test]
    fn lag_is_shown_by_partition_and_in_total() {
        let lag = |partition, committed, end, lag| Lag {
            app: "enricher".to_owned(),
            topic: "moves".to_owned(),
            partition,
            committed,
            end,
            lag,
        };
        insta::assert_snapshot!(render(&[lag(0, Some(7), 10, 3), lag(1, None, 2, 2)]), @r"
        APP       TOPIC  PARTITION  COMMITTED  END  LAG
        enricher  moves  0          7          10   3
        enricher  moves  1          -          2    2
        total lag 5
        ");
    }
}
