//! `bankstream transactions`: what holds partitions up, and the end of transactions that hang.
use std::process::ExitCode;

use clap::Subcommand;
use serde::Serialize;
use streams::admin::Admin;
use streams::admin::transactions::{Fate, OpenTransaction, Outcome};

use crate::cli::Shared;
use crate::table::Table;
use crate::{output, patience};

/// Kafka's own topic that no transaction is ever a part of: coordinators keep their decisions there.
const COORDINATORS: &str = "__transaction_state";

/// The command line.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows what is open in every partition of the cluster, and what became of it.
    ///
    /// Exit code 1: some hang, decided long ago and open for good. 0: none does.
    List(Filter),
    /// Ends those that hang, each as its coordinator decided.
    ///
    /// Without --yes it only shows what it would do. One that its producer works at, or that is ending,
    /// is left alone. Exit code 0: none is left that hangs. 1: some are, or --yes was missing.
    /// --dry-run is 0 whatever it shows.
    End(End),
}

#[derive(Debug, clap::Args)]
struct Filter {
    /// Only in this topic; several times for several.
    #[arg(long = "topic", value_name = "TOPIC")]
    topics: Vec<String>,
}

#[derive(Debug, clap::Args)]
struct End {
    #[command(flatten)]
    filter: Filter,
    /// Only show what would be done.
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Do it.
    #[arg(long)]
    yes: bool,
    /// Abort also what no coordinator knows of: its records are dropped. It may have been committed so
    /// long ago that the coordinators' log forgot it: see first whether readers have seen the rest of it.
    #[arg(long)]
    abort_unknown: bool,
}

/// One of them, as it is shown.
#[derive(Debug, Serialize)]
struct Row<'a> {
    #[serde(flatten)]
    open: &'a OpenTransaction,
    #[serde(flatten)]
    fate: &'a Fate,
}

/// Runs it.
pub async fn run(args: Args, shared: &Shared) -> anyhow::Result<ExitCode> {
    let admin = Admin::new(&shared.bootstrap_servers()?)?;
    match args.command {
        Command::List(filter) => {
            let open = open(&admin, &filter).await?;
            show(&open, shared.json, 0)?;
            Ok(code(open.iter().all(|(_, fate)| to_write(fate, true).is_none())))
        }
        Command::End(end) => run_end(&admin, &end, shared.json).await,
    }
}

async fn run_end(admin: &Admin, end: &End, json: bool) -> anyhow::Result<ExitCode> {
    let mut open = open(admin, &end.filter).await?;
    let mut written = 0_usize;
    if end.yes {
        for (transaction, fate) in &open {
            if let Some(outcome) = to_write(fate, end.abort_unknown) {
                admin.end_transaction(transaction, outcome).await?;
                written = written.saturating_add(1);
            }
        }
        open.retain(|(_, fate)| to_write(fate, end.abort_unknown).is_none());
    }
    show(&open, json, written)?;
    let hangs = open.iter().any(|(_, fate)| to_write(fate, true).is_some());
    let would = open.iter().any(|(_, fate)| to_write(fate, end.abort_unknown).is_some());
    if !json && would && !end.dry_run {
        output::line("nothing was written; --yes ends what hangs")?;
    }
    Ok(code(end.dry_run || !hangs))
}

/// The marker that is missing; `with_unknown` also for those that no coordinator knows.
fn to_write(fate: &Fate, with_unknown: bool) -> Option<Outcome> {
    match fate {
        Fate::Ongoing { .. } | Fate::Ending { .. } => None,
        Fate::Hanging { outcome, .. } => Some(*outcome),
        Fate::Unknown => with_unknown.then_some(Outcome::Abort),
    }
}

async fn open(admin: &Admin, filter: &Filter) -> anyhow::Result<Vec<(OpenTransaction, Fate)>> {
    let there = patience::topics(admin).await?;
    if let Some(unknown) = filter.topics.iter().find(|topic| !there.contains_key(*topic)) {
        anyhow::bail!("there is no topic `{unknown}` at {}", admin.servers());
    }
    let is_asked = |name: &str| {
        name != COORDINATORS
            && (filter.topics.is_empty() || filter.topics.iter().any(|t| t == name))
    };
    let asked = there.into_values().filter(|topic| is_asked(&topic.name));
    let asked: Vec<_> = asked.map(|topic| (topic.name, topic.partitions)).collect();
    Ok(admin.open_transactions(&asked).await?)
}

fn show(open: &[(OpenTransaction, Fate)], json: bool, written: usize) -> std::io::Result<()> {
    if json {
        let rows: Vec<_> = open.iter().map(|(open, fate)| Row { open, fate }).collect();
        let answer = serde_json::json!({ "transactions": rows, "ended": written });
        return output::line(&answer.to_string());
    }
    if written > 0 {
        output::line(&format!("ended {written}"))?;
    }
    output::line(&render(open))
}

fn render(open: &[(OpenTransaction, Fate)]) -> String {
    if open.is_empty() {
        return "no transaction is open".to_owned();
    }
    let mut table = Table::new(&["topic", "partition", "from", "producer", "state"]);
    for (open, fate) in open {
        let (producer, state) = match fate {
            Fate::Ongoing { transactional_id } => (transactional_id.clone(), "at work".to_owned()),
            Fate::Ending { transactional_id, outcome } => {
                (transactional_id.clone(), format!("ending: {}", name(*outcome)))
            }
            Fate::Hanging { transactional_id, outcome } => {
                (transactional_id.clone(), format!("hangs: {} never came", name(*outcome)))
            }
            Fate::Unknown => {
                let producer = format!("{}/{}", open.producer_id, open.producer_epoch);
                (producer, "hangs: nobody knows of it".to_owned())
            }
        };
        let OpenTransaction { topic, partition, first_offset, .. } = open;
        let (partition, from) = (partition.to_string(), first_offset.to_string());
        table.row(&[topic.clone(), partition, from, producer, state]);
    }
    table.render()
}

fn name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Commit => "commit",
        Outcome::Abort => "abort",
    }
}

fn code(is_well: bool) -> ExitCode {
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests {
    use streams::admin::transactions::{Fate, Outcome};

    use super::{render, to_write};

    #[test]
    fn only_what_hangs_is_ended_and_only_as_it_was_decided() {
        let transactional_id = || "app".to_owned();
        for outcome in [Outcome::Commit, Outcome::Abort] {
            let hanging = Fate::Hanging { transactional_id: transactional_id(), outcome };
            assert_eq!(to_write(&hanging, false), Some(outcome));
            let ending = Fate::Ending { transactional_id: transactional_id(), outcome };
            assert_eq!(to_write(&ending, true), None);
        }
        let ongoing = Fate::Ongoing { transactional_id: transactional_id() };
        assert_eq!(to_write(&ongoing, true), None);
        assert_eq!(to_write(&Fate::Unknown, false), None);
        assert_eq!(to_write(&Fate::Unknown, true), Some(Outcome::Abort));
    }

    #[test]
    fn nothing_open_is_said_in_words() {
        assert_eq!(render(&[]), "no transaction is open");
    }
}
