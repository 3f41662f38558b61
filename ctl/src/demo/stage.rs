//! Everything that runs, started in order and stopped in order.
use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::json;
use signatures::Secret;

use super::{Lags, Look, Lost, Received, Watch};
use crate::pipeline::{Bank, Layout, PROCESSORS, Service};
use crate::platform::{Config, Platform};

/// Amount of the transaction whose webhook is lost on purpose, in base units.
const LOST_BASE_UNITS: i64 = -4_200;

/// What to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Folder with the pipeline's programs.
    pub bin: PathBuf,
    /// Folder of data, logs and secrets.
    pub dir: PathBuf,
    /// The declaration, in the project's folder.
    pub topology_file: PathBuf,
    /// The servers.
    pub platform: Config,
    /// What the bank's ids and days follow from.
    pub seed: u64,
    /// Further flags of the bank: its faults.
    pub bank_flags: Vec<String>,
    /// How long an account must be quiet before a difference counts as unexplained, such as `4s`.
    pub quiet_period: String,
    /// Variables of the processors beyond what they need.
    pub processor_env: Vec<(String, String)>,
}

/// Everything that runs.
#[derive(Debug)]
pub struct Stage {
    /// The bank.
    pub bank: Bank,
    /// Counts what is on the topics.
    pub watch: Watch,
    /// Kafka and the registry.
    pub platform: Platform,
    /// What takes the webhooks.
    pub ingress: Service,
    /// The processors: one of each.
    pub processors: Vec<Service>,
    sandbox: Service,
    layout: Layout,
    lags: Lags,
    options: Options,
}

impl Stage {
    /// Starts everything: servers, topics, bank, webhook, ingress, processors. Ready when it returns.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let platform = Platform::start(options.platform.clone()).await?;
        let (kafka, registry) = (platform.bootstrap_servers(), platform.registry_url());
        let Options { bin, dir, topology_file, .. } = &options;
        let progress = options.platform.progress;
        let layout = Layout::new(bin, dir, topology_file, kafka, registry)?;
        progress("creating topics and registering schemas");
        layout.apply_topology().await?;
        progress("opening a bank and subscribing to its webhooks");
        let sandbox = sandbox(&layout, &options).await?;
        let bank = Bank::new(&sandbox.url(""))?;
        // So that `webhook captured` has something to explain: the day has its forgers.
        let kept = ["--capture-file", "logs/rejected.jsonl", "--capture-content", "whole"];
        let ingress = layout.ingress(&[&["--sources", "up"], &kept[..]].concat())?;
        layout.create_webhook(&bank, &ingress.url("/webhooks/up")).await?;
        let watch = Watch::start(kafka, registry).await?;
        let lags = Lags::new(topology_file, kafka)?;
        let processors = Vec::new();
        let mut stage =
            Self { bank, watch, platform, ingress, processors, sandbox, layout, lags, options };
        progress("starting the ingress and four processors");
        stage.start_programs().await?;
        Ok(stage)
    }

    async fn start_programs(&mut self) -> anyhow::Result<()> {
        for app in PROCESSORS {
            let processor = self.instance(app, "1")?;
            self.processors.push(processor);
        }
        for service in self.processors.iter_mut().chain([&mut self.ingress]) {
            service.spawn()?;
        }
        for service in self.processors.iter_mut().chain([&mut self.ingress]) {
            service.until_ready().await?;
        }
        Ok(())
    }

    /// One more instance of an app, not started yet.
    pub fn instance(&self, app: &str, instance: &str) -> anyhow::Result<Service> {
        let flags: &[&str] = match app {
            "balance-reconciler" => &["--quiet-period", &self.options.quiet_period],
            _ => &[],
        };
        let env = &self.options.processor_env;
        Ok(self.layout.processor(app, instance, &self.bank, flags, env)?)
    }

    /// Fails with the cause when a part ended by itself.
    pub fn check(&mut self) -> anyhow::Result<()> {
        self.platform.check()?;
        for service in self.services() {
            service.check()?;
        }
        self.watch.check()
    }

    /// Everything there is to know at this moment.
    pub async fn look(&self) -> anyhow::Result<Look> {
        Ok(Look {
            received: Received::ask(&self.ingress.url("/metrics")).await?,
            truth: self.bank.truth().await?,
            is_bank_quiet: self.bank.is_quiet().await?,
            lag: self.lags.total().await?,
            totals: self.watch.totals(),
        })
    }

    /// The secret that the bank gave for its webhook.
    pub fn webhook_secret(&self) -> anyhow::Result<Secret> {
        self.layout.webhook_secret()
    }

    /// A payment that the bank books and never tells about, so that the difference has to be found.
    pub async fn lose_a_webhook(&self) -> anyhow::Result<Lost> {
        let truth = self.bank.truth().await?;
        let account = truth.accounts.first().context("the bank has no account")?.id.clone();
        let order = json!({
            "account": account, "amount": LOST_BASE_UNITS, "description": "Lighthouse Books", "course": "lost",
        });
        let transaction = self.bank.record(&order).await?;
        Ok(Lost { transaction, account, amount: LOST_BASE_UNITS })
    }

    /// Stops everything in order: no new webhooks, then what is under way, then the servers.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.watch.stop();
        for service in self.services() {
            service.terminate().await?;
        }
        Ok(self.platform.stop().await?)
    }

    fn services(&mut self) -> impl Iterator<Item = &mut Service> {
        [&mut self.sandbox, &mut self.ingress].into_iter().chain(&mut self.processors)
    }
}

async fn sandbox(layout: &Layout, options: &Options) -> anyhow::Result<Service> {
    let seed = options.seed.to_string();
    // The real bank's 1000 requests an hour would last for minutes at a day's pace.
    let mut flags = vec!["--seed", &seed, "--rate-limit", "1000000", "--retry-base-ms", "200"];
    flags.extend(options.bank_flags.iter().map(String::as_str));
    let mut sandbox = layout.sandbox(&flags)?;
    sandbox.start().await?;
    Ok(sandbox)
}
