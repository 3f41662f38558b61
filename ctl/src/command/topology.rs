//! `bankstream topology`: the declaration checked, compared with what is there, and made so.
mod apply;
mod describe;

use std::process::ExitCode;

use clap::Subcommand;
use streams::admin::Admin;
use streams::registry::Registry;
use streams::topology_file::{DeclaredSchema, Findings, Profile, TopicSpec, TopologyFile};

use crate::cli::Shared;
use crate::plan::{Live, Plan};
use crate::{declaration, graph, output};

/// The command line.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Checks the declaration without a cluster: names, co-partitioning, sources, schemas and their
    /// history. Exit code 1 when something must be mended; warnings alone are 0.
    Check,
    /// Shows what `apply` would change. Exit code 1 when there is something.
    Plan(Run),
    /// Makes topics, changes their settings and registers schemas. Does nothing when all is there.
    ///
    /// Only declared settings that differ are changed, after the broker has said that it would take
    /// them; a topic's other settings stay. `cleanup.policy`, partitions and replication of a topic
    /// that exists are left as they are: what differs is shown with what to do, and the exit code is
    /// 1.
    Apply(ApplyArgs),
    /// Draws what reads and writes what.
    Graph(GraphArgs),
    /// Tables of topics and apps, internal topics and settings included.
    Describe(describe::Args),
}

#[derive(Debug, Default, clap::Args)]
struct Run {
    /// Prepare a run under this id instead of live operation: topics that the app writes.
    #[arg(long, value_name = "ID", requires = "app", value_parser = run_id)]
    run_id: Option<String>,
    /// The app that runs under the id.
    #[arg(long, value_name = "APP", requires = "run_id")]
    app: Option<String>,
}

#[derive(Debug, clap::Args)]
struct ApplyArgs {
    /// Only show what would be changed.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    run: Run,
}

#[derive(Debug, clap::Args)]
struct GraphArgs {
    /// How to draw.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
enum Format {
    /// For a terminal.
    #[default]
    Text,
    /// For a document that renders Mermaid.
    Mermaid,
}

/// Longest run id: room must be left for the topic's own name.
const RUN_ID_BYTES_MAX: usize = 64;

fn run_id(text: &str) -> Result<String, String> {
    let letters = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if letters && (1..=RUN_ID_BYTES_MAX).contains(&text.len()) {
        Ok(text.to_owned())
    } else {
        Err(format!("expected 1 to {RUN_ID_BYTES_MAX} letters, digits and hyphens"))
    }
}

/// Runs it.
pub async fn run(args: Args, shared: &Shared) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::Check => check(shared),
        Command::Plan(run) => plan(&run, shared).await,
        Command::Apply(args) if args.dry_run => plan(&args.run, shared).await,
        Command::Apply(args) => apply::run(&Cluster::find(&args.run, shared)?, shared.json).await,
        Command::Graph(args) => draw(args.format, shared),
        Command::Describe(args) => describe::run(&args, shared),
    }
}

/// Makes everything that is declared, for callers inside the tool.
pub async fn apply_all(shared: &Shared) -> anyhow::Result<ExitCode> {
    apply::run(&Cluster::find(&Run::default(), shared)?, shared.json).await
}

fn check(shared: &Shared) -> anyhow::Result<ExitCode> {
    let findings = declaration::check(shared)?;
    if shared.json {
        output::json(&serde_json::json!({ "findings": findings }))?;
    } else if findings.is_empty() {
        let file = shared.topology_file.display();
        output::line(&format!("{file}: nothing to mend, schemas read all of their history"))?;
    } else {
        output::line(&findings.to_string())?;
    }
    Ok(code(!findings.has_errors()))
}

async fn plan(run: &Run, shared: &Shared) -> anyhow::Result<ExitCode> {
    let plan = Cluster::find(run, shared)?.plan().await?;
    if shared.json {
        output::json(&plan)?;
    } else {
        output::line(&plan.to_string())?;
    }
    Ok(code(plan.is_empty()))
}

fn draw(format: Format, shared: &Shared) -> anyhow::Result<ExitCode> {
    let (file, _) = declaration::load(shared)?;
    let drawing = match format {
        Format::Text => graph::text(&file),
        Format::Mermaid => graph::mermaid(&file),
    };
    if shared.json {
        output::json(&serde_json::json!({ "graph": drawing }))?;
    } else {
        output::line(&drawing)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn code(is_fine: bool) -> ExitCode {
    if is_fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What must be there, and whom to ask whether it is.
struct Cluster {
    admin: Admin,
    registry: Registry,
    topics: Vec<TopicSpec>,
    schemas: Vec<DeclaredSchema>,
}

impl Cluster {
    fn find(run: &Run, shared: &Shared) -> anyhow::Result<Self> {
        let (file, profile) = declaration::load(shared)?;
        let (topics, schemas) = wanted(run, &file, &profile)?;
        let admin = Admin::new(&shared.bootstrap_servers()?)?;
        let registry = Registry::new(&shared.schema_registry_url()?)?;
        Ok(Self { admin, registry, topics, schemas })
    }

    async fn plan(&self) -> anyhow::Result<Plan> {
        let live = Live::ask(&self.admin, &self.registry, &self.topics, &self.schemas).await?;
        Ok(Plan::between(&self.topics, &self.schemas, &live, self.admin.servers()))
    }
}

/// Topics and schemas of live operation, or the topics of a run, which writes with the live schemas.
fn wanted(
    run: &Run,
    file: &TopologyFile,
    profile: &Profile,
) -> anyhow::Result<(Vec<TopicSpec>, Vec<DeclaredSchema>)> {
    if let (Some(run_id), Some(app)) = (&run.run_id, &run.app) {
        return Ok((file.topics_of_run(file.app(app)?, profile, run_id), Vec::new()));
    }
    let mut schemas = Vec::new();
    let mut findings = Findings::default();
    for topic in file.topics().keys() {
        match file.schema_of(topic) {
            Ok(schema) => schemas.push(schema),
            Err(finding) => findings.push(finding),
        }
    }
    anyhow::ensure!(findings.is_empty(), "the schemas cannot be used:\n{findings}");
    Ok((file.topics_for(profile), schemas))
}
