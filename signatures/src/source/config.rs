//! Reads the `[sources.NAME]` tables.

mod check;
mod error;
mod keys;
mod table;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use self::check::{Check, PATH_EXPECTED, is_name, is_path};
pub use self::error::SourceError;
pub use self::keys::{RemoteKeys, SecretRef, SecretSite};
use self::table::{EventTable, File, Table};
use crate::scheme::{Carrier, FreeScheme, Scheme};
use crate::source::event::{EventShape, Place};
use crate::source::preset::Preset;

const TOLERANCE_EXPECTED: &str = "at least the time over which the provider retries a delivery \
     that it signed once";

const PLACE_EXPECTED: &str = "`/json/pointer`, `header:NAME`, `header-sha256:NAME`, \
     `token-sha256:NAME`, `items-sha256`, `body-sha256` or `fixed:TEXT`";

const ID_EXPECTED: &str = "an id that the sender gives, or `token-sha256:NAME`: of a signature there \
     can be several that are right, and of a header of signatures others around it, so whoever has a \
     request could send it again as another event";

const TOKEN_EXPECTED: &str = "the scheme's own header, and a scheme whose `parse` is `jwt`";

const ITEMS_EXPECTED: &str = "a source that is signed by items, such as `preset = \"adyen\"`";

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
    /// Keys to fetch, beside the secrets.
    pub remote: Option<RemoteKeys>,
    /// The only `User-Agent` taken, when set. A low bar, beside the signature.
    pub user_agent: Option<String>,
    /// The status that tells the provider the event was taken.
    pub success_code: u16,
    /// How long the provider waits for that status.
    pub ack_deadline: Duration,
    /// How long event ids are remembered.
    pub dedupe_window: Duration,
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
    /// How old a signature may be, where that is longer than event ids are remembered: whoever has seen
    /// a request could send it again meanwhile.
    pub fn tolerance_beyond_window(&self) -> Option<Duration> {
        let past_ms = self.scheme.freshness?.past_ms;
        let tolerance = Duration::from_millis(u64::try_from(past_ms).unwrap_or(0));
        (tolerance > self.dedupe_window).then_some(tolerance)
    }

    /// Reads one `[sources.NAME]` table; `file` is the name of its file for errors.
    pub fn from_table(file: &str, name: &str, table: toml::Value) -> Result<Self, SourceError> {
        let mut table: Table = table.try_into().map_err(|source| SourceError::Table {
            file: file.to_owned(),
            name: name.to_owned(),
            problem: Box::new(source),
        })?;
        let check = Check { file, name };
        check.that(is_name(name), "name", name, "1 to 64 of `a-z`, `0-9`, `-`, `_`")?;
        check.that(is_path(&table.path), "path", &table.path, PATH_EXPECTED)?;
        let mut scheme =
            check.scheme(&table.path, table.preset, table.scheme.take(), &table.params)?;
        if let Some(text) = &table.tolerance {
            check.tolerance(text, table.preset, &mut scheme)?;
        }
        let remote = check.remote(&mut table, &mut scheme)?;
        let event = match table.event {
            Some(event) => check.event(&event, &scheme)?,
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
            secrets: check.secrets(table.secrets, remote.is_some())?,
            remote,
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

    /// Makes the relative paths of key files relative to `folder`, the topology file's own.
    pub fn anchor_files(&mut self, folder: &Path) {
        for secret in &mut self.secrets {
            secret.site.anchor(folder);
        }
        if let Some(remote) = &mut self.remote {
            remote.anchor_files(folder);
        }
    }
}

impl Check<'_> {
    fn tolerance(
        &self,
        text: &str,
        preset: Preset,
        scheme: &mut Scheme,
    ) -> Result<(), SourceError> {
        let tolerance = self.duration("tolerance", text)?;
        let freshness = scheme.freshness.as_mut();
        let freshness = freshness.ok_or_else(|| {
            self.error("tolerance", text, "no such key: this scheme signs no time")
        })?;
        let is_long = tolerance >= preset.tolerance_min();
        self.that(is_long, "tolerance", text, TOLERANCE_EXPECTED)?;
        let tolerance_ms = i64::try_from(tolerance.as_millis()).unwrap_or(i64::MAX);
        freshness.past_ms = tolerance_ms;
        // a time ahead is a wrong clock, however long a provider retries
        if preset.tolerance_min().is_zero() {
            freshness.future_ms = tolerance_ms;
        }
        Ok(())
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

    fn event(&self, table: &EventTable, scheme: &Scheme) -> Result<EventShape, SourceError> {
        let place = |text: &String| {
            let place = Place::parse(text);
            let place = place.ok_or_else(|| self.error("event", text, PLACE_EXPECTED))?;
            let (holds, expected) = match &place {
                Place::TokenSha256(name) => {
                    (scheme.carrier == Carrier::Jwt && scheme.header == **name, TOKEN_EXPECTED)
                }
                Place::ItemsSha256 => (scheme.carrier == Carrier::Items, ITEMS_EXPECTED),
                _ => (true, PLACE_EXPECTED),
            };
            self.that(holds, "event", text, expected).map(|()| place)
        };
        let or_nowhere = |text: &Option<String>| match text {
            Some(text) => place(text),
            None => Ok(Place::Nowhere),
        };
        let id = place(&table.id)?;
        let is_signature = matches!(&id, Place::Header(name) | Place::HeaderSha256(name)
            if scheme.header == **name);
        self.that(!is_signature, "event.id", &table.id, ID_EXPECTED)?;
        Ok(EventShape {
            id,
            kind: place(&table.kind)?,
            subject: or_nowhere(&table.subject)?,
            time: or_nowhere(&table.time)?,
            time_form: table.time_form,
        })
    }
}

#[cfg(test)]
mod tests;
