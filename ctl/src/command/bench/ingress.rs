//! `bankstream bench ingress`: what the door costs, beside the least that could take its place.

mod contender;
mod load;
mod report;
mod requests;
mod usage;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::types::RDKafkaErrorCode;
use signatures::Secret;

use self::contender::Contender;
use self::report::{Report, Rounds};
use crate::cli::Shared;
use crate::command::demo::options;
use crate::demo::Options;
use crate::output;
use crate::pipeline::Layout;
use crate::platform::Platform;

/// Arguments of `bankstream bench ingress`.
///
/// Sender, servers and Kafka share this machine, so a figure by itself says little; its ratio to the
/// bare loop, measured in turns in the same run, says what the ingress adds. The bare loop is
/// `ingress/examples/bare_loop.rs`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Rounds; what is shown is their median.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Length of a round's closed loop and of its open one, in seconds.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// Ids that the ingress remembers already in a second series of rounds; 0 for no such series.
    #[arg(long, default_value_t = 10_000_000)]
    remembered: u64,
    /// Exit with 1 when a floor is broken.
    #[arg(long)]
    check: bool,
}

/// The bare loop's topic; it has as many partitions as the raw one.
const BARE_TOPIC: &str = "bench.bare-loop.v1";
const BARE_PARTITIONS: i32 = 6;

/// Where programs of this bench are built, beside the others.
const BARE_LOOP: &str = "examples/bare_loop";
const REMEMBERING: &str = "examples/remembering";

/// Runs `bankstream bench ingress`.
pub(super) async fn run(args: &Args, shared: &Shared) -> anyhow::Result<ExitCode> {
    let options = options(shared, "bench", fastrand::u64(..))?;
    for program in ["ingress", BARE_LOOP, REMEMBERING] {
        let program = options.bin.join(program);
        ensure!(
            program.exists(),
            "{} is missing: use `./run bench ingress`, which builds it",
            program.display()
        );
    }
    // What an earlier run left, ids among it, is not to be measured.
    if options.dir.exists() {
        std::fs::remove_dir_all(&options.dir).context("removing what the last bench left")?;
    }
    let platform = Platform::start(options.platform.clone()).await?;
    let measured = Bench::prepare(&options, &platform).await;
    let report = match measured {
        Ok(bench) => bench.measure(args).await,
        Err(error) => Err(error),
    };
    output::progress("stopping");
    platform.stop().await?;
    let report = report?;
    if shared.json {
        output::json(&report)?;
    } else {
        output::line(&report.text())?;
    }
    Ok(if args.check && !report.holds() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What the servers of the bench are started with.
struct Bench {
    layout: Layout,
    secret: Secret,
}

impl Bench {
    async fn prepare(options: &Options, platform: &Platform) -> anyhow::Result<Self> {
        let (kafka, registry) = (platform.bootstrap_servers(), platform.registry_url());
        let layout =
            Layout::new(&options.bin, &options.dir, &options.topology_file, kafka, registry)?;
        output::progress("creating topics and registering schemas");
        layout.apply_topology().await?;
        create_topic(kafka).await?;
        let text = format!("{:032x}", fastrand::u128(..));
        write_secret(&layout.secret_file(), &text)?;
        Ok(Self { layout, secret: Secret::new(text)? })
    }

    async fn measure(&self, args: &Args) -> anyhow::Result<Report> {
        output::progress("warming up the ingress and the bare loop");
        let mut bare = self.start(BARE_LOOP, &self.bare_flags()).await?;
        let mut ours = self.start("ingress", &flags(&[])).await?;
        let plain = self.rounds(args, &mut ours, &mut bare).await?;
        output::progress("256 connections");
        let resident =
            [ours.resident_kib(&self.secret).await?, bare.resident_kib(&self.secret).await?];
        let mut report = Report::new(&plain, resident, ours.accepted());
        ours.stop().await?;
        if args.remembered > 0 {
            output::progress(&format!("an ingress that remembers {} ids", args.remembered));
            // As many again may come from the topic, which holds what was sent so far.
            let most = args.remembered.saturating_mul(2).to_string();
            let ids = args.remembered.to_string();
            let flags = flags(&["--dedupe-ids-max", &most, "--remembered", &ids]);
            let mut ours = self.start(REMEMBERING, &flags).await?;
            let rounds = self.rounds(args, &mut ours, &mut bare).await?;
            report.remembering(&plain, &rounds, args.remembered);
            ours.stop().await?;
        }
        bare.stop().await?;
        Ok(report)
    }

    async fn rounds(
        &self,
        args: &Args,
        ours: &mut Contender,
        bare: &mut Contender,
    ) -> anyhow::Result<Rounds> {
        let mut rounds = Rounds::default();
        for number in 1..=args.rounds {
            output::progress(&format!("round {number} of {}", args.rounds));
            rounds.ours.push(ours.round(&self.secret, args.seconds).await?);
            rounds.bare.push(bare.round(&self.secret, args.seconds).await?);
        }
        Ok(rounds)
    }

    async fn start(&self, program: &str, flags: &[String]) -> anyhow::Result<Contender> {
        let flags: Vec<_> = flags.iter().map(String::as_str).collect();
        let name = program.rsplit('/').next().unwrap_or(program);
        Contender::start(self.layout.server(name, program, &flags)?, &self.secret).await
    }

    fn bare_flags(&self) -> [String; 4] {
        let secret = self.layout.secret_file().display().to_string();
        ["--topic".to_owned(), BARE_TOPIC.to_owned(), "--secret-file".to_owned(), secret]
    }
}

/// Everything as it is by default; only the source whose webhooks are sent.
fn flags(more: &[&str]) -> Vec<String> {
    ["--sources", "up"].iter().chain(more).map(|flag| (*flag).to_owned()).collect()
}

fn write_secret(file: &Path, text: &str) -> anyhow::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).context("creating the folder of secrets")?;
    }
    std::fs::write(file, text).with_context(|| format!("writing {}", file.display()))
}

async fn create_topic(bootstrap_servers: &str) -> anyhow::Result<()> {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", bootstrap_servers).create()?;
    let topic = NewTopic::new(BARE_TOPIC, BARE_PARTITIONS, TopicReplication::Fixed(1));
    let results = admin.create_topics([&topic], &AdminOptions::new()).await?;
    for result in results {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, error)) => anyhow::bail!("creating topic `{topic}`: {error}"),
        }
    }
    Ok(())
}
