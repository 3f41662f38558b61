//! Topics and their settings.

use std::collections::BTreeMap;

use rdkafka::admin::{
    AdminOptions, ConfigSource, NewTopic, OwnedResourceSpecifier, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::error::RDKafkaErrorCode;

use super::{Admin, AdminError, REQUEST_TIMEOUT};
use crate::native::{self, TopicIds};
use crate::topology_file::TopicSpec;

/// A setting of a topic on the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSetting {
    /// Its value.
    pub value: String,
    /// Set on the topic itself; else the broker's default applies.
    pub is_own: bool,
}

/// A topic as the cluster has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicState {
    /// Name.
    pub name: String,
    /// Number of partitions.
    pub partitions: i32,
    /// Copies of partition 0.
    pub replication: i32,
}

impl Admin {
    /// Every topic on the cluster, by name.
    pub async fn topics(&self) -> Result<BTreeMap<String, TopicState>, AdminError> {
        let this = self.clone();
        let asked = tokio::task::spawn_blocking(move || {
            this.client
                .inner()
                .fetch_metadata(None, REQUEST_TIMEOUT)
                .map_err(|source| this.error("list its topics", source))
        });
        let metadata = asked.await??;
        let state = |topic: &rdkafka::metadata::MetadataTopic| TopicState {
            name: topic.name().to_owned(),
            partitions: count(topic.partitions().len()),
            replication: topic.partitions().first().map_or(0, |one| count(one.replicas().len())),
        };
        let topics = metadata.topics().iter().map(state);
        Ok(topics.map(|topic| (topic.name.clone(), topic)).collect())
    }

    /// The ids of these topics; those that are not there are left out.
    pub(crate) async fn topic_ids(&self, topics: Vec<String>) -> Result<TopicIds, AdminError> {
        let this = self.clone();
        let asked = tokio::task::spawn_blocking(move || {
            let names = topics.iter().map(String::as_str);
            native::topic_ids(this.client.inner(), names, REQUEST_TIMEOUT)
                .map_err(|source| this.error("describe its topics", source))
        });
        asked.await?
    }

    /// The cluster's own id, which survives its restarts and tells it from others.
    pub async fn cluster_id(&self) -> Result<String, AdminError> {
        let this = self.clone();
        let asked = tokio::task::spawn_blocking(move || {
            let found = this.client.inner().fetch_cluster_id(REQUEST_TIMEOUT);
            found.ok_or_else(|| AdminError::Unreachable { servers: this.servers.clone() })
        });
        asked.await?
    }

    /// Settings of the named topics, which must exist, by topic and setting.
    pub async fn settings(
        &self,
        topics: &[&str],
    ) -> Result<BTreeMap<String, BTreeMap<String, TopicSetting>>, AdminError> {
        if topics.is_empty() {
            return Ok(BTreeMap::new());
        }
        let resources: Vec<_> =
            topics.iter().map(|topic| ResourceSpecifier::Topic(topic)).collect();
        let action = "describe the settings of its topics";
        let answers = self
            .client
            .describe_configs(&resources, &options())
            .await
            .map_err(|source| self.error(action, source))?;
        let mut found = BTreeMap::new();
        for answer in answers {
            let resource = answer
                .map_err(|code| self.error(action, rdkafka::error::KafkaError::AdminOp(code)))?;
            let OwnedResourceSpecifier::Topic(topic) = resource.specifier else { continue };
            let settings = resource.entries.into_iter().filter_map(|entry| {
                let is_own = entry.source == ConfigSource::DynamicTopic;
                Some((entry.name, TopicSetting { value: entry.value?, is_own }))
            });
            found.insert(topic, settings.collect());
        }
        Ok(found)
    }

    /// Makes a topic. One that is there already is left as it is: false.
    pub async fn create(&self, topic: &TopicSpec) -> Result<bool, AdminError> {
        let replication = TopicReplication::Fixed(topic.replication);
        let settings = topic.configs.iter();
        let new = settings.fold(
            NewTopic::new(&topic.name, topic.partitions, replication),
            |new, (key, value)| new.set(key, value),
        );
        let answers = self
            .client
            .create_topics([&new], &options())
            .await
            .map_err(|source| self.error(format!("create topic `{}`", topic.name), source))?;
        match answers.into_iter().next() {
            Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(false),
            Some(Err((topic, code))) => Err(AdminError::NotCreated { topic, code }),
            Some(Ok(_)) | None => Ok(true),
        }
    }
}

fn options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(REQUEST_TIMEOUT))
        .operation_timeout(Some(REQUEST_TIMEOUT))
}

fn count(length: usize) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX)
}
