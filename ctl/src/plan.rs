//! What has to change so that cluster and registry are as declared.
//!
//! [`Plan::between`] compares; it asks nobody. [`crate::plan::Live::ask`] asks.
mod live;

#[cfg(test)]
mod tests;

use std::fmt;

use serde::Serialize;
use streams::registry::COMPATIBILITY;
use streams::topology_file::{DeclaredSchema, TopicSpec};

pub use live::{Live, LiveSubject};

/// The setting that stays as it is until a person changes it: `compact` and `delete` remove different
/// records. On a changelog the one loses state, on a topic of events the other loses events.
const DANGEROUS_SETTING: &str = "cleanup.policy";

/// One thing that `apply` does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum Change {
    /// A topic is made, with its settings.
    CreateTopic {
        /// Its name.
        topic: String,
        /// Number of partitions.
        partitions: i32,
        /// Copies of each.
        replication: i32,
        /// Its settings as `key=value`.
        settings: Vec<String>,
    },
    /// Settings of a topic that is there are changed; its other settings stay.
    AlterSettings {
        /// The topic.
        topic: String,
        /// What differs.
        settings: Vec<SettingChange>,
    },
    /// A subject gets the compatibility rule.
    SetCompatibility {
        /// The subject.
        subject: String,
        /// The rule it has of its own.
        now: Option<String>,
    },
    /// A schema becomes a subject's next version.
    RegisterSchema {
        /// The subject.
        subject: String,
        /// The version it will be.
        version: u32,
    },
}

/// One setting of a topic that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SettingChange {
    /// Its name.
    pub key: String,
    /// The value it has.
    pub now: Option<String>,
    /// The value it gets.
    pub declared: String,
}

/// One thing that differs and that `apply` leaves to a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Obstacle {
    /// The topic or subject.
    pub name: String,
    /// What differs.
    pub problem: String,
    /// What to do or to run.
    pub advice: String,
    /// Nothing may be applied while it is there.
    pub blocks: bool,
}

/// The difference between the declaration and what is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// What `apply` does, in order.
    pub changes: Vec<Change>,
    /// What a person has to do.
    pub by_hand: Vec<Obstacle>,
}

impl Plan {
    /// Compares the declared topics and schemas with what is there; `servers` is for the commands it
    /// advises.
    pub fn between(
        topics: &[TopicSpec],
        schemas: &[DeclaredSchema],
        live: &Live,
        servers: &str,
    ) -> Self {
        let mut plan = Self::default();
        for topic in topics {
            plan.compare_topic(topic, live, servers);
        }
        for schema in schemas {
            plan.compare_schema(schema, live.subjects.get(&schema.subject));
        }
        plan
    }

    /// Nothing differs.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.by_hand.is_empty()
    }

    /// Something differs that must be solved before anything is applied.
    pub fn is_blocked(&self) -> bool {
        self.by_hand.iter().any(|obstacle| obstacle.blocks)
    }

    fn compare_topic(&mut self, topic: &TopicSpec, live: &Live, servers: &str) {
        let Some(state) = live.topics.get(&topic.name) else {
            let settings = topic.configs.iter().map(|(key, value)| format!("{key}={value}"));
            self.changes.push(Change::CreateTopic {
                topic: topic.name.clone(),
                partitions: topic.partitions,
                replication: topic.replication,
                settings: settings.collect(),
            });
            return;
        };
        let mut obstacle = |problem: String, advice: String| {
            let name = topic.name.clone();
            self.by_hand.push(Obstacle { name, problem, advice, blocks: false });
        };
        if state.partitions != topic.partitions {
            obstacle(
                format!("has {} partitions, declared {}", state.partitions, topic.partitions),
                "keys would move to other partitions: declare a new version of the topic instead"
                    .to_owned(),
            );
        }
        if state.replication != topic.replication {
            obstacle(
                format!("has replication {}, declared {}", state.replication, topic.replication),
                format!(
                    "kafka-reassign-partitions.sh --bootstrap-server {servers} --execute \
                     --reassignment-json-file FILE"
                ),
            );
        }
        self.compare_settings(topic, live, servers);
    }

    fn compare_settings(&mut self, topic: &TopicSpec, live: &Live, servers: &str) {
        let live = live.settings.get(&topic.name);
        let mut settings = Vec::new();
        for (key, declared) in &topic.configs {
            let now = live.and_then(|live| live.get(*key)).map(|found| found.value.clone());
            if now.as_ref() == Some(declared) {
                continue;
            }
            if *key == DANGEROUS_SETTING {
                let now = now.as_deref().unwrap_or("not set");
                self.by_hand.push(Obstacle {
                    name: topic.name.clone(),
                    problem: format!("has {key} {now}, declared {declared}"),
                    advice: format!(
                        "the broker would begin to remove records by the other rule; when they \
                         may go: kafka-configs.sh --bootstrap-server {servers} --alter \
                         --entity-type topics --entity-name {} --add-config {key}={declared}",
                        topic.name
                    ),
                    blocks: false,
                });
            } else {
                settings.push(SettingChange {
                    key: (*key).to_owned(),
                    now,
                    declared: declared.clone(),
                });
            }
        }
        if !settings.is_empty() {
            self.changes.push(Change::AlterSettings { topic: topic.name.clone(), settings });
        }
    }

    fn compare_schema(&mut self, schema: &DeclaredSchema, live: Option<&LiveSubject>) {
        let subject = schema.subject.clone();
        let now = live.and_then(|live| live.compatibility.clone());
        if now.as_deref() != Some(COMPATIBILITY) {
            self.changes.push(Change::SetCompatibility { subject: subject.clone(), now });
        }
        if live.is_some_and(|live| live.is_registered) {
            return;
        }
        if let Some(reason) = live.and_then(|live| live.refusal.clone()) {
            self.by_hand.push(Obstacle {
                name: subject,
                problem: format!("does not take the declared schema: {reason}"),
                advice: "give new fields a default, never change a type or a name; or declare a \
                         new version of the topic"
                    .to_owned(),
                blocks: true,
            });
            return;
        }
        let version = live.map_or(0, |live| live.versions).saturating_add(1);
        self.changes.push(Change::RegisterSchema { subject, version });
    }
}

impl fmt::Display for Change {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateTopic { topic, partitions, replication, settings } => {
                let settings = settings.join(", ");
                write!(
                    out,
                    "create topic {topic}: {partitions} partitions, replication {replication}, \
                     {settings}"
                )
            }
            Self::AlterSettings { topic, settings } => {
                let settings: Vec<String> = settings.iter().map(ToString::to_string).collect();
                write!(out, "alter {topic}: {}", settings.join(", "))
            }
            Self::SetCompatibility { subject, now } => {
                let now = now.as_deref().unwrap_or("none of its own");
                write!(out, "set compatibility of {subject} to {COMPATIBILITY} (now {now})")
            }
            Self::RegisterSchema { subject, version } => {
                write!(out, "register schema of {subject} as version {version}")
            }
        }
    }
}

impl fmt::Display for SettingChange {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let now = self.now.as_deref().unwrap_or("not set");
        write!(out, "{}={} (now {now})", self.key, self.declared)
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}\n      {}", self.name, self.problem, self.advice)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return write!(out, "nothing to do: cluster and registry are as declared");
        }
        for change in &self.changes {
            writeln!(out, "  + {change}")?;
        }
        for obstacle in &self.by_hand {
            writeln!(out, "  ! {obstacle}")?;
        }
        write!(out, "{} to apply, {} by hand", self.changes.len(), self.by_hand.len())
    }
}
