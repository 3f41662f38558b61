//! The committed schemas: that they are there, parse, have their file's name, and that what is
//! declared now can read everything that was ever written.

use std::path::{Path, PathBuf};

use apache_avro::Schema;
use apache_avro::schema_compatibility::SchemaCompatibility;

use super::finding::{Finding, Findings, Severity};
use super::section::path_of;
use super::{HISTORY_FOLDER, SCHEMA_FOLDER, TopologyFile};

/// Largest schema file that is read: ours have a few kilobytes.
const SCHEMA_BYTES_MAX: u64 = 1024 * 1024;

/// The registry's subject for the values of `topic`.
pub fn subject_of(topic: &str) -> String {
    format!("{topic}-value")
}

/// A topic's schema as committed.
#[derive(Clone, Debug)]
pub struct DeclaredSchema {
    /// The topic.
    pub topic: String,
    /// Its subject in the registry.
    pub subject: String,
    /// The one text that is registered: the file as compact JSON.
    pub text: String,
    /// The text, parsed.
    pub schema: Schema,
}

impl TopologyFile {
    /// Opens the schema of every declared topic and its history, and says what is wrong.
    pub fn check_schemas(&self) -> Findings {
        let mut found = Findings::default();
        for topic in self.topics().keys() {
            match self.schema_of(topic) {
                Ok(declared) => found.extend(self.check_history(&declared)),
                Err(finding) => found.push(finding),
            }
        }
        found
    }

    /// The committed schema of a declared topic.
    pub fn schema_of(&self, topic: &str) -> Result<DeclaredSchema, Finding> {
        let key = format!("{}.value", path_of("topics", topic));
        let wrong = |message: String| self.finding(Severity::Error, &key, message);
        let value = match self.topics().get(topic) {
            Some(declaration) => &declaration.value,
            None => return Err(wrong(format!("topic `{topic}` is not declared"))),
        };
        let file = self.folder().join(SCHEMA_FOLDER).join(format!("{value}.avsc"));
        let (text, schema) = read(&file).map_err(&wrong)?;
        if let Some(name) = schema.name() {
            let full = name.to_string();
            if full != *value {
                let file = file.display();
                return Err(wrong(format!("{file} defines `{full}`, expected `{value}`")));
            }
        }
        Ok(DeclaredSchema { topic: topic.to_owned(), subject: subject_of(topic), text, schema })
    }

    fn check_history(&self, declared: &DeclaredSchema) -> Vec<Finding> {
        let folder = self.folder().join(HISTORY_FOLDER).join(&declared.subject);
        let shown = folder.display().to_string();
        let wrong = |file: String, message: String| Finding {
            severity: Severity::Error,
            file,
            line: None,
            key: String::new(),
            message,
        };
        let versions = match versions(&folder) {
            Ok(versions) => versions,
            Err(message) => return vec![wrong(shown, message)],
        };
        let Some((_, newest)) = versions.last() else {
            let message = "expected 1.avsc, the schema as first registered; commit the schema as \
                           compact JSON"
                .to_owned();
            return vec![wrong(shown, message)];
        };
        let mut found = Vec::new();
        for (_, file) in &versions {
            let verdict = read(file).and_then(|(text, older)| {
                can_read(&older, declared)?;
                let committed = file != newest || text == declared.text;
                if committed { Ok(()) } else { Err(not_committed(&declared.topic, &versions)) }
            });
            found.extend(verdict.err().map(|message| wrong(file.display().to_string(), message)));
        }
        found
    }
}

fn not_committed(topic: &str, versions: &[(u32, PathBuf)]) -> String {
    let next = versions.len() + 1;
    format!(
        "the newest version in the history is not the declared schema of `{topic}`; when the change \
         is meant, commit the schema as {next}.avsc"
    )
}

fn can_read(older: &Schema, declared: &DeclaredSchema) -> Result<(), String> {
    SchemaCompatibility::can_read(older, &declared.schema).map(|_| ()).map_err(|error| {
        format!(
            "the declared schema of `{}` cannot read records of this version ({error}); give new \
             fields a default, never change a type or a name",
            declared.topic
        )
    })
}

/// Versions in the history folder: 1 to n without a gap.
fn versions(folder: &Path) -> Result<Vec<(u32, PathBuf)>, String> {
    let mut versions = Vec::new();
    if folder.is_dir() {
        let entries = folder.read_dir().map_err(|error| format!("cannot be read: {error}"))?;
        for entry in entries {
            let file = entry.map_err(|error| format!("cannot be read: {error}"))?.path();
            let version = file
                .file_name()
                .and_then(|name| name.to_str()?.strip_suffix(".avsc")?.parse::<u32>().ok())
                .ok_or_else(|| format!("expected <n>.avsc, found {}", file.display()))?;
            versions.push((version, file));
        }
    }
    versions.sort();
    match (1..).zip(&versions).find(|(expected, (version, _))| expected != version) {
        Some((expected, _)) => Err(format!("expected {expected}.avsc, which is missing")),
        None => Ok(versions),
    }
}

/// The file as compact JSON (key order kept) and parsed.
fn read(file: &Path) -> Result<(String, Schema), String> {
    let shown = file.display();
    let size = file.metadata().map_err(|error| format!("cannot read {shown}: {error}"))?.len();
    if size > SCHEMA_BYTES_MAX {
        return Err(format!("{shown} has {size} bytes, expected at most {SCHEMA_BYTES_MAX}"));
    }
    let text =
        std::fs::read_to_string(file).map_err(|error| format!("cannot read {shown}: {error}"))?;
    let json: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| format!("{shown} is not JSON: {error}"))?;
    let compact = json.to_string();
    let schema = Schema::parse_str(&compact)
        .map_err(|error| format!("{shown} is not an Avro schema: {error}"))?;
    Ok((compact, schema))
}
