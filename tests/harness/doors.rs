//! Servers and some replicas of the ingress, each in a folder of its own as on a machine of its own.
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use ctl::pipeline::{Layout, Service};
use ctl::platform::{Config, Lifetime, Origin, Platform, Port};
use reqwest::Client;
use schemas::topics::WEBHOOKS_RECEIVED;
use tokio::sync::MutexGuard;

use crate::pipeline::{Paths, turn};
use crate::topic::{Consumed, read_all};

/// The ingress answers from memory.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Where `topology.toml` has the secrets of the source `up`, without what holds more than files.
const SECRETS_LINE: &str = "secrets = [{ id = \"env\", env = \"UP_WEBHOOK_SECRET\", optional = true }, \
                            { id = \"file\", file = \".bankstream/secrets/up\", optional = true }]";

/// Two secrets at a time, each in its file.
const TWO_SECRETS: &str = "secrets = [{ id = \"old\", file = \".bankstream/secrets/old\", optional = true }, \
                           { id = \"new\", file = \".bankstream/secrets/new\", optional = true }]";

/// One replica of the ingress.
#[derive(Debug)]
pub struct Replica {
    /// Its folder and what runs beside it.
    pub layout: Layout,
    /// The program.
    pub service: Service,
}

impl Replica {
    /// Writes a secret as an operator's tools do: whole, under its name. Without a secret the file
    /// goes.
    pub fn put_secret(&self, id: &str, secret: Option<&str>) -> anyhow::Result<()> {
        let folder = self.layout.dir().join(".bankstream/secrets");
        std::fs::create_dir_all(&folder).context("creating the folder of secrets")?;
        let file = folder.join(id);
        let Some(secret) = secret else {
            return std::fs::remove_file(file).context("removing a secret");
        };
        let draft = folder.join("draft");
        std::fs::write(&draft, secret).context("writing a secret")?;
        std::fs::rename(draft, file).context("putting a secret in its place")
    }

    /// Where it keeps its event ids.
    pub fn snapshot(&self) -> PathBuf {
        self.layout.dir().join(".bankstream/ingress/event-ids")
    }

    /// The sum of a metric's series whose names and labels begin with `series`.
    pub async fn metric(&self, series: &str) -> anyhow::Result<u64> {
        let client = Client::builder().no_proxy().timeout(ANSWER_TIMEOUT).build()?;
        let answer = client.get(self.service.url("/metrics")).send().await?;
        let text = answer.error_for_status()?.text().await?;
        let values = text.lines().filter(|line| line.starts_with(series));
        let values = values.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok());
        Ok(values.sum())
    }
}

/// Kafka, the registry and the replicas. Everything ends when it is dropped.
#[derive(Debug)]
pub struct Doors {
    /// Kafka and the registry.
    pub platform: Platform,
    /// The replicas, not started yet.
    pub replicas: Vec<Replica>,
    _turn: MutexGuard<'static, ()>,
}

impl Doors {
    /// Starts the servers for the test `name` and prepares so many replicas with these flags. Their
    /// source `up` takes two secrets, `old` and `new`; `old` is the one given.
    pub async fn open(
        name: &str,
        replicas: usize,
        secret: &str,
        flags: &[&str],
    ) -> anyhow::Result<Self> {
        let turn = turn().await;
        let paths = Paths::of(name)?;
        let platform = Platform::start(Config {
            lib: paths.jars.clone(),
            dir: paths.dir.join("platform"),
            kafka: Origin::Local(Port::Free),
            registry: Origin::Local(Port::Free),
            lifetime: Lifetime::WithUs,
            progress: |_| {},
        })
        .await?;
        let mut all = Vec::new();
        for number in 0..replicas {
            let dir = paths.dir.join(format!("replica-{number}"));
            let topology = paths.project.join("topology.toml");
            let (kafka, registry) = (platform.bootstrap_servers(), platform.registry_url());
            let layout = Layout::new(&paths.bin, &dir, &topology, kafka, registry)?;
            let file = layout.dir().join("topology.toml");
            let text = std::fs::read_to_string(&file).context("reading the declaration")?;
            anyhow::ensure!(text.contains(SECRETS_LINE), "topology.toml has other secrets now");
            let text = text.replace(SECRETS_LINE, TWO_SECRETS);
            std::fs::write(&file, text).context("writing the declaration")?;
            let args: Vec<_> = ["--sources", "up"].iter().chain(flags).copied().collect();
            let service = layout.ingress(&args)?;
            let replica = Replica { layout, service };
            replica.put_secret("old", Some(secret))?;
            all.push(replica);
        }
        let first = all.first().context("no replica")?;
        first.layout.apply_topology().await?;
        Ok(Self { platform, replicas: all, _turn: turn })
    }

    /// Starts every replica and waits until all are ready.
    pub async fn start(&mut self) -> anyhow::Result<()> {
        for replica in &mut self.replicas {
            replica.service.spawn()?;
        }
        for replica in &mut self.replicas {
            replica.service.until_ready().await?;
        }
        Ok(())
    }

    /// The addresses to post webhooks to.
    pub fn urls(&self) -> Vec<String> {
        self.replicas.iter().map(|replica| replica.service.url("/webhooks/up")).collect()
    }

    /// Every record on the raw topic now.
    pub async fn raw(&self) -> anyhow::Result<Vec<Consumed>> {
        read_all(self.platform.bootstrap_servers(), WEBHOOKS_RECEIVED).await
    }

    /// Stops the replicas in order, then the servers; a failing stop is a failing test.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        for replica in &mut self.replicas {
            let ended = replica.service.terminate().await?;
            anyhow::ensure!(ended.is_none_or(|status| status.success()), "ended with {ended:?}");
        }
        Ok(self.platform.stop().await?)
    }
}
