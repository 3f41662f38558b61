//! One real Kafka for one test, without the pipeline.
use anyhow::Context as _;
use ctl::platform::{Config, Lifetime, Origin, Platform, Port};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use tokio::sync::MutexGuard;

use crate::pipeline::{Paths, turn};

/// A broker that runs until it is dropped, or the test's process dies.
#[derive(Debug)]
pub struct Kafka {
    platform: Platform,
    dir: std::path::PathBuf,
    _turn: MutexGuard<'static, ()>,
}

impl Kafka {
    /// Starts one for the test `name`; its folder under `target/` is emptied first and stays for a look.
    pub async fn start(name: &str) -> anyhow::Result<Self> {
        let turn = turn().await;
        let paths = Paths::of(name)?;
        let dir = paths.dir.clone();
        let platform = Platform::start(Config {
            lib: paths.jars,
            dir: paths.dir.join("platform"),
            kafka: Origin::Local(Port::Free),
            // not asked for anything
            registry: Origin::External("http://127.0.0.1:9".to_owned()),
            lifetime: Lifetime::WithUs,
            progress: |_| {},
        });
        Ok(Self { platform: platform.await?, dir, _turn: turn })
    }

    /// `host:port`.
    pub fn bootstrap_servers(&self) -> &str {
        self.platform.bootstrap_servers()
    }

    /// A client's configuration with nothing but the address.
    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.bootstrap_servers());
        config
    }

    /// Makes a topic with these settings.
    pub async fn create_topic(
        &self,
        name: &str,
        partitions: i32,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<()> {
        let admin: AdminClient<DefaultClientContext> = self.client().create()?;
        let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        for (key, value) in settings {
            topic = topic.set(key, value);
        }
        let made = admin.create_topics([&topic], &AdminOptions::new()).await?;
        for outcome in made {
            outcome.map_err(|(topic, code)| anyhow::anyhow!("topic {topic}: {code}"))?;
        }
        Ok(())
    }

    /// The test's folder under `target/`.
    pub fn dir(&self) -> &std::path::Path {
        &self.dir
    }

    /// Kills it with SIGKILL and starts it again, on the same port with the same data.
    pub async fn kill_and_start(&mut self) -> anyhow::Result<()> {
        let kafka = self.platform.kafka().context("Kafka was started by the test")?;
        kafka.kill().await?;
        Ok(kafka.start().await?)
    }

    /// Stops it in order.
    pub async fn stop(self) -> anyhow::Result<()> {
        Ok(self.platform.stop().await?)
    }
}
