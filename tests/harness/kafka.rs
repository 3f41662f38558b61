//! One real Kafka, without the pipeline: for one test, or for several that get on with each other.
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Weak};

use anyhow::Context as _;
use ctl::platform::{Config, Lifetime, Origin, Platform, Port};
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use streams::admin::Admin;
use tokio::sync::{Mutex, MutexGuard};

use crate::pipeline::{Paths, turn};
use crate::tool::bankstream;

/// The broker that tests share while one of them runs.
static SHARED: Mutex<Weak<Kafka>> = Mutex::const_new(Weak::new());

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

    /// The one that other tests use at this moment, else a new one in the folder `name`. Topics and
    /// groups of such tests need names of their own; it ends with the last of them.
    pub async fn shared(name: &str) -> anyhow::Result<Arc<Self>> {
        let mut shared = SHARED.lock().await;
        if let Some(kafka) = shared.upgrade() {
            return Ok(kafka);
        }
        let kafka = Arc::new(Self::start(name).await?);
        *shared = Arc::downgrade(&kafka);
        Ok(kafka)
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
        let admin = self.admin()?;
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

    /// Deletes topics, and with them what groups have committed of them.
    pub async fn delete_topics(&self, names: &[&str]) -> anyhow::Result<()> {
        let deleted = self.admin()?.delete_topics(names, &AdminOptions::new()).await?;
        for outcome in deleted {
            outcome.map_err(|(topic, code)| anyhow::anyhow!("topic {topic}: {code}"))?;
        }
        Ok(())
    }

    /// How many partitions a topic has.
    pub async fn partitions(&self, topic: &str) -> anyhow::Result<i32> {
        let topics = Admin::new(self.bootstrap_servers())?.topics().await?;
        Ok(topics.get(topic).with_context(|| format!("no topic {topic}"))?.partitions)
    }

    /// Gives a topic more partitions: `count` in all.
    pub async fn add_partitions(&self, topic: &str, count: usize) -> anyhow::Result<()> {
        let wanted = NewPartitions::new(topic, count);
        let made = self.admin()?.create_partitions([&wanted], &AdminOptions::new()).await?;
        for outcome in made {
            outcome.map_err(|(topic, code)| anyhow::anyhow!("partitions of {topic}: {code}"))?;
        }
        Ok(())
    }

    /// Deletes the records of a partition below `offset`, as its retention does when they are old.
    pub async fn delete_records(
        &self,
        topic: &str,
        partition: i32,
        offset: i64,
    ) -> anyhow::Result<()> {
        let mut before = TopicPartitionList::new();
        before.add_partition_offset(topic, partition, Offset::Offset(offset))?;
        let deleted = self.admin()?.delete_records(&before, &AdminOptions::new()).await?;
        for element in deleted.elements() {
            element.error().with_context(|| format!("deleting records of {topic}"))?;
        }
        Ok(())
    }

    /// Deletes a group with its offsets; false while it has members.
    pub async fn delete_group(&self, group: &str) -> anyhow::Result<bool> {
        let deleted = self.admin()?.delete_groups(&[group], &AdminOptions::new()).await?;
        match deleted.into_iter().next().context("an answer for the group")? {
            Ok(_) => Ok(true),
            Err((_, RDKafkaErrorCode::NonEmptyGroup)) => Ok(false),
            Err((group, code)) => anyhow::bail!("group {group}: {code}"),
        }
    }

    fn admin(&self) -> anyhow::Result<AdminClient<DefaultClientContext>> {
        Ok(self.client().create()?)
    }

    /// The test's folder under `target/`.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Kills it with SIGKILL and starts it again, on the same port with the same data.
    pub async fn kill_and_start(&mut self) -> anyhow::Result<()> {
        self.kill_damage_and_start(|_| Ok(())).await
    }

    /// The same, with something done to the folder of its data in between.
    pub async fn kill_damage_and_start(
        &mut self,
        damage: impl FnOnce(&Path) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let kafka = self.platform.kafka().context("Kafka was started by the test")?;
        kafka.kill().await?;
        damage(&self.dir.join("platform/kafka"))?;
        Ok(kafka.start().await?)
    }

    /// `bankstream` beside it.
    pub fn bankstream(&self) -> anyhow::Result<Command> {
        bankstream(self.bootstrap_servers())
    }

    /// Stops it in order.
    pub async fn stop(self) -> anyhow::Result<()> {
        Ok(self.platform.stop().await?)
    }
}
