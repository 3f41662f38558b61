//! `topology.toml`: the declaration of topics, sources, apps and profiles.
//!
//! [`TopologyFile::load`] reads the whole file and reports everything that is wrong with it at once,
//! each finding with its line, its key, what was expected and the nearest known name. What follows
//! from the declaration (changelogs, effect ledgers, dead-letter topics, topic settings) is derived
//! here and nowhere else: see [`TopologyFile::topics_for`].

mod declaration;
mod derived;
mod finding;
mod nearest;
mod parse;
mod reference;
mod schema;
mod section;
mod span;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use declaration::{
    AppDeclaration, Cleanup, Guarantee, Profile, Retention, SubTopologyDeclaration,
    TopicDeclaration,
};
pub use derived::{RECORD_OVERHEAD_BYTES, TopicKind, TopicSpec};
pub use finding::{Finding, Findings, Severity};
pub use schema::{DeclaredSchema, subject_of};
pub use span::{format_duration, parse_duration};

/// Where schemas lie, relative to the folder of `topology.toml`.
pub const SCHEMA_FOLDER: &str = "schemas/avro";
/// Where every schema that was ever registered lies, relative to the folder of `topology.toml`.
pub const HISTORY_FOLDER: &str = "schemas/history";

/// A declaration that holds together: parsed, and every name in it refers to something declared.
#[derive(Clone, Debug)]
pub struct TopologyFile {
    path: PathBuf,
    topics: BTreeMap<String, TopicDeclaration>,
    sources: toml::Table,
    apps: BTreeMap<String, AppDeclaration>,
    profiles: BTreeMap<String, Profile>,
    lines: BTreeMap<String, usize>,
}

/// Why a declaration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is not there, or may not be read.
    #[error(
        "cannot read the topology file {path}; start in the project's folder, or name the file \
         with --topology-file or TOPOLOGY_FILE"
    )]
    Read {
        /// The file that was asked for.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The file has errors: all of them.
    #[error("the topology file has errors:\n{findings}")]
    Invalid {
        /// Every error found, in the order of the file.
        findings: Findings,
    },
    /// A profile that the file does not have.
    #[error("{file}: profiles: no profile `{name}`; expected one of {known}")]
    UnknownProfile {
        /// The file.
        file: String,
        /// The profile asked for.
        name: String,
        /// The profiles there are.
        known: String,
    },
    /// An app that the file does not have.
    #[error("{file}: apps: no app `{name}`{}; declared are {known}", nearest::hint(.near.as_deref()))]
    UnknownApp {
        /// The file.
        file: String,
        /// The app asked for.
        name: String,
        /// The declared app with the most similar name.
        near: Option<String>,
        /// The apps there are.
        known: String,
    },
}

impl TopologyFile {
    /// Reads and checks the file at `path`. No schema is opened: see [`Self::check_schemas`].
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| Error::Read { path: path.display().to_string(), source })?;
        Self::parse(path, &text)
    }

    /// Checks `text` as the content of the file at `path`.
    pub fn parse(path: &Path, text: &str) -> Result<Self, Error> {
        let (file, mut findings) = parse::file(path, text);
        let Some(file) = file else { return Err(Error::Invalid { findings }) };
        findings.extend(reference::errors(&file));
        findings.sort();
        if findings.is_empty() { Ok(file) } else { Err(Error::Invalid { findings }) }
    }

    /// The file this was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder paths in the file and schema files are relative to.
    pub fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        }
    }

    /// Declared topics by name. Internal topics are not among them: see [`Self::topics_for`].
    pub fn topics(&self) -> &BTreeMap<String, TopicDeclaration> {
        &self.topics
    }

    /// The `[sources]` tables as they are. Their meaning is not this crate's business.
    pub fn sources(&self) -> &toml::Table {
        &self.sources
    }

    /// Declared apps by application id.
    pub fn apps(&self) -> &BTreeMap<String, AppDeclaration> {
        &self.apps
    }

    /// Profiles by name.
    pub fn profiles(&self) -> &BTreeMap<String, Profile> {
        &self.profiles
    }

    /// The profile called `name`.
    pub fn profile(&self, name: &str) -> Result<&Profile, Error> {
        self.profiles.get(name).ok_or_else(|| Error::UnknownProfile {
            file: self.path.display().to_string(),
            name: name.to_owned(),
            known: listed(self.profiles.keys()),
        })
    }

    /// The app whose application id is `id`.
    pub fn app(&self, id: &str) -> Result<&AppDeclaration, Error> {
        self.apps.get(id).ok_or_else(|| Error::UnknownApp {
            file: self.path.display().to_string(),
            name: id.to_owned(),
            near: nearest::name(id, self.apps.keys()).map(str::to_owned),
            known: listed(self.apps.keys()),
        })
    }

    /// What is odd but not wrong: a topic nobody uses, a topic two apps write.
    pub fn warnings(&self) -> Findings {
        reference::warnings(self)
    }

    /// A finding about `key` of this file, with its line when the key is there.
    pub fn finding(&self, severity: Severity, key: &str, message: impl Into<String>) -> Finding {
        Finding {
            severity,
            file: self.path.display().to_string(),
            line: self.lines.get(key).copied(),
            key: key.to_owned(),
            message: message.into(),
        }
    }
}

fn listed<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
