//! Reads the `[sources.NAME]` tables.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::scheme::{FreeScheme, Scheme};
use crate::source::event::{EventShape, Place, TimeForm};
use crate::source::preset::Preset;

/// Secrets of one source. Two are a rotation; more than this is a mistake, and each costs an HMAC
/// per request.
const SECRETS_MAX: usize = 8;

/// Why the declared sources cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The file is not TOML.
    #[error("{file} is not valid TOML")]
    Toml {
        /// The file.
        file: String,
        /// Where and what.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// The file declares no source.
    #[error("{file}: no `[sources.NAME]` table is declared; expected at least one")]
    NoSources {
        /// The file.
        file: String,
    },
    /// A table has an unknown key, lacks one, or holds a value of another type.
    #[error("{file}: `sources.{name}`: {}", .problem.message())]
    Table {
        /// The file.
        file: String,
        /// The source's name.
        name: String,
        /// What was expected; it is part of this message, not a cause below it.
        problem: Box<toml::de::Error>,
    },
    /// A value is of the right type but cannot be used.
    #[error("{file}: `sources.{name}.{key}` is `{value}`; expected {expected}")]
    Value {
        /// The file.
        file: String,
        /// The source's name.
        name: String,
        /// The key below the source's table.
        key: &'static str,
        /// The value found.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
    /// The scheme cannot be made of what the table says.
    #[error("{file}: `sources.{name}`: {problem}")]
    Scheme {
        /// The file.
        file: String,
        /// The source's name.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// Two sources share a path.
    #[error("{file}: `sources.{name}.path` is `{path}`, which `sources.{other}` has already")]
    SamePath {
        /// The file.
        file: String,
        /// The source's name.
        name: String,
        /// The path of both.
        path: String,
        /// The source that has it.
        other: String,
    },
}

/// One declared source, complete: the preset's facts with the table's overrides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceConfig {
    /// Name of the table; the first half of every raw record's key.
    pub name: String,
    /// The provider.
    pub preset: Preset,
    /// Path the webhooks are posted to.
    pub path: String,
    /// The signature scheme.
    pub scheme: Scheme,
    /// Where bodies hold the event's id, type, subject and time.
    pub event: EventShape,
    /// Where the secrets are; all that are there are active at once.
    pub secrets: Vec<SecretRef>,
    /// The only `User-Agent` taken, when set. A low bar, beside the signature.
    pub user_agent: Option<String>,
    /// The status that tells the provider the event was taken.
    pub success_code: u16,
    /// How long the provider waits for that status.
    pub ack_deadline: Duration,
    /// How long event ids are remembered.
    pub dedupe_window: Duration,
}

/// Where a secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretRef {
    /// Key id, recorded with every request that this secret verified.
    pub id: String,
    /// Where its text is.
    pub site: SecretSite,
    /// Whether it may be absent.
    pub optional: bool,
    /// Milliseconds from which on it is used.
    pub not_before: Option<i64>,
    /// Milliseconds until which it is used, both ends included.
    pub not_after: Option<i64>,
}

/// The place of a secret's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSite {
    /// An environment variable.
    Env(String),
    /// A file; re-read when it changes.
    File(PathBuf),
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    sources: toml::Table,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    preset: Preset,
    path: String,
    secrets: Vec<SecretTable>,
    user_agent: Option<String>,
    tolerance: Option<String>,
    dedupe_window: Option<String>,
    #[serde(default)]
    params: BTreeMap<String, String>,
    scheme: Option<FreeScheme>,
    event: Option<EventTable>,
    success_code: Option<u16>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EventTable {
    id: String,
    kind: String,
    subject: Option<String>,
    time: Option<String>,
    #[serde(default)]
    time_form: TimeForm,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SecretTable {
    id: String,
    env: Option<String>,
    file: Option<PathBuf>,
    #[serde(default)]
    optional: bool,
    not_before: Option<String>,
    not_after: Option<String>,
}

/// Reads the sources declared in the text of a topology file; `file` is its name for errors. Other
/// tables of the file are not looked at.
pub fn parse(file: &str, text: &str) -> Result<Vec<SourceConfig>, SourceError> {
    let parsed: File = toml::from_str(text)
        .map_err(|source| SourceError::Toml { file: file.to_owned(), source: Box::new(source) })?;
    from_tables(file, &parsed.sources)
}

/// Reads the `sources` table of a topology file that is parsed already; `file` is its name for
/// errors. Gives at least one source, in the table's order, no two at one path.
pub fn from_tables(file: &str, tables: &toml::Table) -> Result<Vec<SourceConfig>, SourceError> {
    if tables.is_empty() {
        return Err(SourceError::NoSources { file: file.to_owned() });
    }
    let mut sources: Vec<SourceConfig> = Vec::with_capacity(tables.len());
    for (name, table) in tables {
        let source = SourceConfig::from_table(file, name, table.clone())?;
        if let Some(other) = sources.iter().find(|other| other.path == source.path) {
            return Err(SourceError::SamePath {
                file: file.to_owned(),
                name: name.clone(),
                path: source.path,
                other: other.name.clone(),
            });
        }
        sources.push(source);
    }
    Ok(sources)
}

impl SourceConfig {
    /// Reads one `[sources.NAME]` table; `file` is the name of its file for errors.
    pub fn from_table(file: &str, name: &str, table: toml::Value) -> Result<Self, SourceError> {
        let table: Table = table.try_into().map_err(|source| SourceError::Table {
            file: file.to_owned(),
            name: name.to_owned(),
            problem: Box::new(source),
        })?;
        let check = Check { file, name };
        check.that(is_name(name), "name", name, "1 to 64 of `a-z`, `0-9`, `-`, `_`")?;
        check.that(is_path(&table.path), "path", &table.path, PATH_EXPECTED)?;
        let mut scheme = check.scheme(&table.path, table.preset, table.scheme, &table.params)?;
        if let Some(text) = &table.tolerance {
            let tolerance = check.duration("tolerance", text)?;
            let freshness = scheme.freshness.as_mut();
            let freshness = freshness.ok_or_else(|| {
                check.error("tolerance", text, "no such key: this scheme signs no time")
            })?;
            let is_long = tolerance >= table.preset.tolerance_min();
            check.that(is_long, "tolerance", text, TOLERANCE_EXPECTED)?;
            let tolerance_ms = i64::try_from(tolerance.as_millis()).unwrap_or(i64::MAX);
            freshness.past_ms = tolerance_ms;
            // a time ahead is a wrong clock, however long a provider retries
            if table.preset.tolerance_min().is_zero() {
                freshness.future_ms = tolerance_ms;
            }
        }
        let event = match table.event {
            Some(event) => check.event(&event)?,
            None => table.preset.event_shape().ok_or_else(|| {
                check.error("event", "", "a table: `preset = \"free\"` knows no places")
            })?,
        };
        let success_code = table.success_code.unwrap_or(table.preset.success_code());
        let is_success = (200..300).contains(&success_code);
        check.that(is_success, "success_code", &success_code.to_string(), "200 to 299")?;
        let dedupe_window = match &table.dedupe_window {
            Some(text) => check.duration("dedupe_window", text)?,
            None => table.preset.dedupe_window(),
        };
        Ok(Self {
            secrets: secret_refs(&check, table.secrets)?,
            name: name.to_owned(),
            preset: table.preset,
            path: table.path,
            scheme,
            event,
            user_agent: table.user_agent,
            success_code,
            ack_deadline: table.preset.ack_deadline(),
            dedupe_window,
        })
    }

    /// Makes the relative paths of secret files relative to `folder`, the topology file's own.
    pub fn anchor_files(&mut self, folder: &Path) {
        for secret in &mut self.secrets {
            if let SecretSite::File(path) = &mut secret.site {
                *path = folder.join(&path);
            }
        }
    }
}

fn secret_refs(check: &Check<'_>, tables: Vec<SecretTable>) -> Result<Vec<SecretRef>, SourceError> {
    let count = tables.len();
    let counted = (1..=SECRETS_MAX).contains(&count);
    check.that(counted, "secrets", &format!("{count} entries"), "1 to 8 entries")?;
    let mut refs: Vec<SecretRef> = Vec::with_capacity(count);
    for SecretTable { id, env, file, optional, not_before, not_after } in tables {
        check.that(is_name(&id), "secrets.id", &id, "1 to 64 of `a-z`, `0-9`, `-`, `_`")?;
        let unique = refs.iter().all(|other| other.id != id);
        check.that(unique, "secrets.id", &id, "an id that no other secret of the source has")?;
        let site = match (env, file) {
            (Some(name), None) if !name.is_empty() => SecretSite::Env(name),
            (None, Some(path)) if !path.as_os_str().is_empty() => SecretSite::File(path),
            _ => return Err(check.error("secrets", &id, "either `env` or `file`, not empty")),
        };
        let time = |key, text: Option<String>| {
            let read = |text: String| {
                let time = text.parse::<jiff::Timestamp>().map(jiff::Timestamp::as_millisecond);
                time.map_err(|_| check.error(key, &text, "a time such as `2026-01-02T03:04:05Z`"))
            };
            text.map(read).transpose()
        };
        let not_before = time("secrets.not_before", not_before)?;
        let not_after = time("secrets.not_after", not_after)?;
        refs.push(SecretRef { id, site, optional, not_before, not_after });
    }
    Ok(refs)
}

const PATH_EXPECTED: &str = "a path such as `/webhooks/up`: one or more segments of `A-Z`, `a-z`, \
     `0-9`, `-`, `_`, `.`, at most 200 bytes, and none of the ingress's own";

const TOLERANCE_EXPECTED: &str = "at least the time over which the provider retries a delivery \
     that it signed once";

const PLACE_EXPECTED: &str = "`/json/pointer`, `header:NAME`, `header-sha256:NAME`, \
     `body-sha256` or `fixed:TEXT`";

/// Paths the ingress answers itself.
const OWN_PATHS: [&str; 3] = ["/livez", "/readyz", "/metrics"];

fn is_path(path: &str) -> bool {
    let is_segment = |segment: &str| {
        !segment.is_empty()
            && segment != "."
            && segment != ".."
            && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    let segments = path.strip_prefix('/').map(|rest| rest.split('/').all(is_segment));
    segments == Some(true) && path.len() <= 200 && !OWN_PATHS.contains(&path)
}

fn is_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b);
    (1..=64).contains(&name.len()) && name.bytes().all(allowed)
}

/// Names the place of a value in errors.
struct Check<'a> {
    file: &'a str,
    name: &'a str,
}

impl Check<'_> {
    fn error(&self, key: &'static str, value: &str, expected: &'static str) -> SourceError {
        SourceError::Value {
            file: self.file.to_owned(),
            name: self.name.to_owned(),
            key,
            value: value.to_owned(),
            expected,
        }
    }

    fn scheme(
        &self,
        path: &str,
        preset: Preset,
        free: Option<FreeScheme>,
        params: &BTreeMap<String, String>,
    ) -> Result<Scheme, SourceError> {
        let problem = |problem: String| SourceError::Scheme {
            file: self.file.to_owned(),
            name: self.name.to_owned(),
            problem,
        };
        let mut scheme = match (preset.scheme(), free) {
            (Some(scheme), None) => scheme,
            (None, Some(free)) => {
                free.scheme(self.name).map_err(|error| problem(error.to_string()))?
            }
            (Some(_), Some(_)) => {
                return Err(problem("only a source of `preset = \"free\"` has a scheme".into()));
            }
            (None, None) => {
                return Err(problem("`preset = \"free\"` needs a `scheme` table".into()));
            }
        };
        for (param, value) in params {
            scheme = scheme.with_param(param, value).map_err(|error| problem(error.to_string()))?;
        }
        // behind a proxy that changes paths, `params` says what the provider posts to
        if scheme.missing_params().any(|missing| missing == "path") {
            scheme = scheme.with_param("path", path).map_err(|error| problem(error.to_string()))?;
        }
        if let Some(missing) = scheme.missing_params().next() {
            return Err(problem(format!("`params` must set `{missing}`")));
        }
        Ok(scheme)
    }

    fn event(&self, table: &EventTable) -> Result<EventShape, SourceError> {
        let place = |text: &String| {
            Place::parse(text).ok_or_else(|| self.error("event", text, PLACE_EXPECTED))
        };
        let or_nowhere = |text: &Option<String>| match text {
            Some(text) => place(text),
            None => Ok(Place::Nowhere),
        };
        Ok(EventShape {
            id: place(&table.id)?,
            kind: place(&table.kind)?,
            subject: or_nowhere(&table.subject)?,
            time: or_nowhere(&table.time)?,
            time_form: table.time_form,
        })
    }

    fn that(
        &self,
        holds: bool,
        key: &'static str,
        value: &str,
        expected: &'static str,
    ) -> Result<(), SourceError> {
        if holds { Ok(()) } else { Err(self.error(key, value, expected)) }
    }

    /// Reads `90s`, `5m`, `36h` or `7d`.
    fn duration(&self, key: &'static str, text: &str) -> Result<Duration, SourceError> {
        let read = || {
            let (count, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
            let unit_s: u64 = match unit {
                "s" => 1,
                "m" => 60,
                "h" => 3600,
                "d" => 86_400,
                _ => return None,
            };
            let seconds = count.parse::<u32>().ok()?;
            Some(Duration::from_secs(u64::from(seconds).checked_mul(unit_s)?))
        };
        read()
            .filter(|duration| !duration.is_zero())
            .ok_or_else(|| self.error(key, text, "a duration such as `90s`, `5m`, `36h` or `7d`"))
    }
}

#[cfg(test)]
mod tests;
