//! What is there now.
use std::collections::BTreeMap;

use streams::admin::{Admin, AdminError, TopicSetting, TopicState};
use streams::registry::{Compatibility, Registry, RegistryError};
use streams::topology_file::{DeclaredSchema, TopicSpec};

use crate::patience;

/// A subject of the registry, as far as a plan needs it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LiveSubject {
    /// Its own compatibility rule.
    pub compatibility: Option<String>,
    /// How many versions it has.
    pub versions: u32,
    /// One of them is the declared schema.
    pub is_registered: bool,
    /// Why it would not take the declared schema.
    pub refusal: Option<String>,
}

/// Topics and subjects as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Live {
    /// Topics of the cluster by name.
    pub topics: BTreeMap<String, TopicState>,
    /// Settings of the declared ones by topic and key.
    pub settings: BTreeMap<String, BTreeMap<String, TopicSetting>>,
    /// Declared subjects by name.
    pub subjects: BTreeMap<String, LiveSubject>,
}

/// Why it is not known what is there.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// The cluster did not tell.
    #[error(transparent)]
    Cluster(#[from] AdminError),
    /// The registry did not tell.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

impl Live {
    /// Asks the cluster about `topics` and the registry about `schemas`.
    pub async fn ask(
        admin: &Admin,
        registry: &Registry,
        topics: &[TopicSpec],
        schemas: &[DeclaredSchema],
    ) -> Result<Self, LiveError> {
        let there = patience::topics(admin).await?;
        let declared = topics.iter().map(|topic| topic.name.as_str());
        let known: Vec<&str> = declared.filter(|name| there.contains_key(*name)).collect();
        let settings = admin.settings(&known).await?;
        let mut subjects = BTreeMap::new();
        for schema in schemas {
            subjects.insert(schema.subject.clone(), subject(registry, schema).await?);
        }
        Ok(Self { topics: there, settings, subjects })
    }
}

async fn subject(
    registry: &Registry,
    schema: &DeclaredSchema,
) -> Result<LiveSubject, RegistryError> {
    let versions = registry.versions(&schema.subject).await?;
    if versions.is_empty() {
        return Ok(LiveSubject::default());
    }
    let is_registered = registry.find(schema).await?.is_some();
    let verdict = if is_registered {
        Compatibility::Compatible
    } else {
        registry.check(&schema.subject, &schema.text).await?
    };
    let refusal = match verdict {
        Compatibility::Compatible => None,
        Compatibility::Incompatible(reason) => Some(reason),
    };
    let compatibility = registry.compatibility(&schema.subject).await?;
    let versions = u32::try_from(versions.len()).unwrap_or(u32::MAX);
    Ok(LiveSubject { compatibility, versions, is_registered, refusal })
}
