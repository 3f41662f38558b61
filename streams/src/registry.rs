//! The schema registry: a client of the Confluent HTTP interface.
//!
//! A subject holds the versions of one topic's schema; an id names a schema text for ever. The
//! registry compares texts byte by byte, so the one text that is registered is the committed file as
//! compact JSON ([`crate::topology_file::DeclaredSchema::text`]).

mod blocking;
mod http;
mod reading;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use apache_avro::Schema;
use reqwest::Method;
use schema_registry_converter::async_impl::avro::AvroDecoder;
use schema_registry_converter::async_impl::schema_registry::SrSettings;
use schema_registry_converter::avro_common::AvroSchema;
use serde::Deserialize;
use serde_json::{Value, json};

pub use blocking::RegistrySchemas;
pub use reading::readable;

use self::http::Call;
use crate::topology_file::DeclaredSchema;

/// How long one request may take: a registry on a small machine needs up to a second.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The registry has no such subject or version.
const NOT_FOUND: u16 = 404;

/// What every subject must promise before a schema goes in: the newest reads all that came before.
pub const COMPATIBILITY: &str = "BACKWARD_TRANSITIVE";

/// Why the registry gave no useful answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The address is not one.
    #[error(
        "`{url}` is not the address of a schema registry; expected one such as \
         http://127.0.0.1:8081/apis/ccompat/v7 in SCHEMA_REGISTRY_URL"
    )]
    Address {
        /// As given.
        url: String,
    },
    /// Nobody answered, or not in time.
    #[error(
        "the schema registry {url} does not answer ({reason}); is it running, and is \
         SCHEMA_REGISTRY_URL right?"
    )]
    Unreachable {
        /// Base address.
        url: String,
        /// What happened to the request.
        reason: String,
    },
    /// It answered that it will not or cannot.
    #[error("the schema registry {url} refuses to {action}: {message} (status {status})")]
    Refused {
        /// Base address.
        url: String,
        /// What was asked.
        action: String,
        /// Status code.
        status: u16,
        /// Its own words, shortened.
        message: String,
    },
    /// It answered something else than its interface says.
    #[error("the schema registry {url} gave an answer to {action} that cannot be understood")]
    Answer {
        /// Base address.
        url: String,
        /// What was asked.
        action: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// Our schema is not registered under the subject.
    #[error(
        "subject `{subject}` has no version equal to the schema of this program; run `bankstream \
         topology apply`"
    )]
    NotRegistered {
        /// The subject.
        subject: String,
    },
    /// A value that is not what its schema says.
    #[error("the value cannot be read by schema id {id}: {reason}")]
    Undecodable {
        /// Id of the writer's schema.
        id: u32,
        /// Where it departs.
        reason: String,
    },
    /// An id it does not know, or whose schema is not Avro.
    #[error("schema id {id} cannot be had from the schema registry {url}: {reason}")]
    UnknownId {
        /// Base address.
        url: String,
        /// The id.
        id: u32,
        /// What the registry said.
        reason: String,
    },
}

impl RegistryError {
    /// Asking again may help: the registry was away, not unwilling.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { status, .. } => *status >= 500 || *status == 429,
            _ => false,
        }
    }
}

/// A schema as the registry has it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct RegisteredSchema {
    /// The id that frames carry.
    pub id: u32,
    /// Version within the subject, from 1.
    pub version: u32,
    /// The text as registered.
    pub schema: String,
}

/// Whether a schema may become the next version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compatibility {
    /// It may.
    Compatible,
    /// It may not, and why.
    Incompatible(String),
}

/// A client of one registry. Clones share connections and the cache of ids.
#[derive(Clone, Debug)]
pub struct Registry {
    http: http::Http,
    by_id: Arc<AvroDecoder>,
}

impl Registry {
    /// A client of the registry at `url`, the base of the Confluent interface. A trailing slash is
    /// taken off: registries answer 404 to the double slash it would cause.
    pub fn new(url: &str) -> Result<Self, RegistryError> {
        let address = || RegistryError::Address { url: url.to_owned() };
        let base = url.trim_end_matches('/');
        if !(base.starts_with("http://") || base.starts_with("https://")) {
            return Err(address());
        }
        let http = http::Http::new(base, REQUEST_TIMEOUT).ok_or_else(address)?;
        let settings = SrSettings::new_builder(base.to_owned())
            .no_proxy()
            .set_timeout(REQUEST_TIMEOUT)
            .build()
            .map_err(|_| address())?;
        Ok(Self { http, by_id: Arc::new(AvroDecoder::new(settings)) })
    }

    /// Base address.
    pub fn url(&self) -> &str {
        self.http.base()
    }

    /// Names of all subjects, sorted.
    pub async fn subjects(&self) -> Result<Vec<String>, RegistryError> {
        let mut subjects: Vec<String> =
            self.http.call(Call::get(&["subjects"], "list the subjects".to_owned())).await?;
        subjects.sort();
        Ok(subjects)
    }

    /// Versions of a subject, oldest first; none when there is no such subject.
    pub async fn versions(&self, subject: &str) -> Result<Vec<u32>, RegistryError> {
        let action = format!("list the versions of `{subject}`");
        let path = ["subjects", subject, "versions"];
        let versions = self.http.call(Call::get(&path, action)).await;
        Ok(or_not_found(versions)?.unwrap_or_default())
    }

    /// One version of a subject.
    pub async fn version(
        &self,
        subject: &str,
        version: u32,
    ) -> Result<RegisteredSchema, RegistryError> {
        let action = format!("show version {version} of `{subject}`");
        let version = version.to_string();
        let path = ["subjects", subject, "versions", &version];
        self.http.call(Call::get(&path, action)).await
    }

    /// The newest version of a subject; none when there is no such subject.
    pub async fn latest(&self, subject: &str) -> Result<Option<RegisteredSchema>, RegistryError> {
        let action = format!("show the newest version of `{subject}`");
        let path = ["subjects", subject, "versions", "latest"];
        or_not_found(self.http.call(Call::get(&path, action)).await)
    }

    /// Registers `text` as a version of the subject and gives its id; the id it has already when it
    /// is there, byte for byte.
    pub async fn register(&self, subject: &str, text: &str) -> Result<u32, RegistryError> {
        #[derive(Deserialize)]
        struct Registered {
            id: u32,
        }
        let action = format!("register a schema of `{subject}`");
        let path = ["subjects", subject, "versions"];
        let body = json!({ "schema": text, "schemaType": "AVRO" });
        let registered: Registered =
            self.http.call(Call::send(Method::POST, &path, action, body)).await?;
        Ok(registered.id)
    }

    /// Whether `text` may become the next version under the subject's own rule. A subject that is not
    /// there yet takes anything.
    pub async fn check(&self, subject: &str, text: &str) -> Result<Compatibility, RegistryError> {
        #[derive(Deserialize)]
        struct Verdict {
            is_compatible: bool,
            #[serde(default)]
            messages: Vec<String>,
            #[serde(default)]
            reason: Option<String>,
        }
        let action = format!("compare a schema with those of `{subject}`");
        let path = ["compatibility", "subjects", subject, "versions"];
        let body = json!({ "schema": text, "schemaType": "AVRO" });
        let call = Call::send(Method::POST, &path, action, body);
        let call = Call { query: Some("verbose=true"), ..call };
        let verdict: Option<Verdict> = or_not_found(self.http.call(call).await)?;
        Ok(match verdict {
            Some(verdict) if !verdict.is_compatible => {
                let reasons = verdict.messages.into_iter().chain(verdict.reason);
                Compatibility::Incompatible(reasons.collect::<Vec<_>>().join("; "))
            }
            _ => Compatibility::Compatible,
        })
    }

    /// The compatibility rule of a subject; none when it has none of its own (the registry's
    /// default, which is often NONE, applies).
    pub async fn compatibility(&self, subject: &str) -> Result<Option<String>, RegistryError> {
        let action = format!("show the compatibility of `{subject}`");
        let answer: Option<Value> =
            or_not_found(self.http.call(Call::get(&["config", subject], action)).await)?;
        let level = |answer: Value| answer.get("compatibilityLevel")?.as_str().map(str::to_owned);
        Ok(answer.and_then(level))
    }

    /// Makes [`COMPATIBILITY`] the rule of a subject.
    pub async fn set_compatibility(&self, subject: &str) -> Result<(), RegistryError> {
        let action = format!("set the compatibility of `{subject}`");
        let body = json!({ "compatibility": COMPATIBILITY });
        let path = ["config", subject];
        self.http.call::<Value>(Call::send(Method::PUT, &path, action, body)).await.map(drop)
    }

    /// The schema of an id, remembered after the first time.
    pub async fn by_id(&self, id: u32) -> Result<Arc<AvroSchema>, RegistryError> {
        self.by_id.get_schema(id).await.map_err(|error| {
            let reason = error.cause.clone().unwrap_or_else(|| error.error.clone());
            let url = self.url().to_owned();
            if error.retriable {
                return RegistryError::Unreachable { url, reason };
            }
            // an unknown id may be known a moment later: do not remember the refusal
            self.by_id.remove_errors_from_cache();
            RegistryError::UnknownId { url, id, reason }
        })
    }

    /// The id to write with: that of the newest version which is the same schema as ours. Docs,
    /// defaults and aliases may differ, the bytes do not.
    pub async fn pin(&self, subject: &str, schema: &Schema) -> Result<u32, RegistryError> {
        for version in self.versions(subject).await?.into_iter().rev() {
            let registered = self.version(subject, version).await?;
            if Schema::parse_str(&registered.schema).is_ok_and(|theirs| theirs == *schema) {
                return Ok(registered.id);
            }
        }
        Err(RegistryError::NotRegistered { subject: subject.to_owned() })
    }

    /// The version whose text is the declared one; layout does not count.
    pub async fn find(
        &self,
        declared: &DeclaredSchema,
    ) -> Result<Option<RegisteredSchema>, RegistryError> {
        let ours = serde_json::from_str::<Value>(&declared.text).ok();
        for version in self.versions(&declared.subject).await?.into_iter().rev() {
            let registered = self.version(&declared.subject, version).await?;
            if serde_json::from_str::<Value>(&registered.schema).ok() == ours {
                return Ok(Some(registered));
            }
        }
        Ok(None)
    }
}

/// Takes "there is no such subject" as an answer.
fn or_not_found<T>(answer: Result<T, RegistryError>) -> Result<Option<T>, RegistryError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(RegistryError::Refused { status: NOT_FOUND, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
