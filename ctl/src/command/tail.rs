//! `bankstream tail`: records of a topic as a person reads them.
pub(super) mod reader;
pub(super) mod show;

use std::process::ExitCode;

use anyhow::Context as _;
use streams::admin::Admin;
use streams::registry::Registry;

use crate::cli::Shared;
use crate::{output, patience};
use reader::{Reading, Start};

/// How many records are shown when nothing else is asked for: a screenful.
const LIMIT_DEFAULT: usize = 10;

/// The command line.
///
/// Without flags: the newest ten records, then the end. Values in the registry's frame are decoded
/// by their writer's schema; changelogs and ledgers are JSON already; dead letters come with the
/// headers that say why they are there.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The topic. Any one on the cluster, internal ones included.
    topic: String,
    /// Begin at the oldest record instead of near the end.
    #[arg(long)]
    from_beginning: bool,
    /// Show at most so many records [default: 10; no limit with --from-beginning or --follow].
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Wait for further records until Ctrl-C or the limit.
    #[arg(long)]
    follow: bool,
    /// Show the headers of every record.
    #[arg(long)]
    headers: bool,
}

/// Runs it.
pub async fn run(args: Args, shared: &Shared) -> anyhow::Result<ExitCode> {
    let servers = shared.bootstrap_servers()?;
    let registry = Registry::new(&shared.schema_registry_url()?)?;
    let admin = Admin::new(&servers)?;
    let topics = patience::topics(&admin).await?;
    let state = topics.get(&args.topic).with_context(|| {
        format!("no topic `{}` on {servers}; `bankstream topology describe` lists ours", args.topic)
    })?;
    let ends = admin.watermarks(&args.topic, state.partitions).await?;
    let tail = args.limit.unwrap_or(LIMIT_DEFAULT);
    let start = if args.from_beginning { Start::Beginning } else { Start::Newest(tail) };
    let mut reading = Reading::start(&servers, &args.topic, &ends, start, args.follow)?;
    let limit = match (args.limit, args.from_beginning || args.follow) {
        (Some(limit), _) => limit,
        (None, true) => usize::MAX,
        (None, false) => LIMIT_DEFAULT,
    };
    let mut shown = 0;
    while shown < limit {
        let Some(record) = reading.next().await else { break };
        let record = show::Shown::of(record?, &registry).await;
        if shared.json {
            output::json(&record)?;
        } else {
            output::line(&record.line(args.headers))?;
        }
        shown += 1;
    }
    Ok(ExitCode::SUCCESS)
}
