//! The topics as they are now, and reading them.
use std::collections::BTreeMap;

use anyhow::Context as _;
use streams::admin::{Admin, TopicState, Watermarks};

use crate::cli::Shared;
use crate::command::tail::reader::{Reading, Start};
use crate::patience;

/// Where records are read from.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) servers: String,
    admin: Admin,
    topics: BTreeMap<String, TopicState>,
}

impl Cluster {
    pub(super) async fn find(shared: &Shared) -> anyhow::Result<Self> {
        let servers = shared.bootstrap_servers()?;
        let admin = Admin::new(&servers)?;
        let topics = patience::topics(&admin).await?;
        Ok(Self { servers, admin, topics })
    }

    /// How many partitions a topic has; none when it is not there.
    pub(super) fn partitions(&self, topic: &str) -> Option<i32> {
        self.topics.get(topic).map(|state| state.partitions)
    }

    /// The offsets that a topic holds now.
    pub(super) async fn ends(&self, topic: &str) -> anyhow::Result<BTreeMap<i32, Watermarks>> {
        let partitions = self.partitions(topic).with_context(|| {
            format!("no topic `{topic}` on {}; `bankstream topology apply` makes it", self.servers)
        })?;
        Ok(self.admin.watermarks(topic, partitions).await?)
    }

    /// Every record of a topic, up to its end.
    pub(super) async fn read_all(&self, topic: &str) -> anyhow::Result<Reading> {
        self.read(topic, &self.ends(topic).await?)
    }

    /// The records of some partitions, each from an offset up to its end.
    pub(super) async fn read_from(
        &self,
        topic: &str,
        offsets: &BTreeMap<i32, i64>,
    ) -> anyhow::Result<Reading> {
        let mut ends = self.ends(topic).await?;
        ends.retain(|partition, marks| match offsets.get(partition) {
            // a topic that was made anew counts from 0 again: all of it may be meant
            Some(from) if *from > marks.high => true,
            Some(from) => {
                marks.low = marks.low.max(*from);
                true
            }
            None => false,
        });
        self.read(topic, &ends)
    }

    fn read(&self, topic: &str, ends: &BTreeMap<i32, Watermarks>) -> anyhow::Result<Reading> {
        Reading::start(&self.servers, topic, ends, Start::Beginning, false)
    }
}
