//! What is said of a secret that is not there: which of a source's entries it is, and what to do.

use signatures::source::{LoadError, Preset, SecretRef, SecretSite, SecretStore, SourceConfig};

const CREATED: &str = ", as `bankstream webhook create` does";
const OR_RUN: &str = ", or run `bankstream webhook create`";

/// Why a door cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A secret is not there.
    #[error("source `{source_name}`: {detail}")]
    Missing {
        /// The source.
        source_name: String,
        /// Which one, and what to do.
        detail: String,
    },
    /// Anything else.
    #[error(transparent)]
    Load(#[from] LoadError),
}

impl OpenError {
    /// The same as `error`, which loading the secrets of `source` gave, in terms of its table.
    pub(super) fn of(error: LoadError, source: &SourceConfig, store: &impl SecretStore) -> Self {
        let detail = match &error {
            LoadError::Absent { file, .. } => {
                let of_file = |it: &&SecretRef| matches!(&it.site, SecretSite::File(path) if path.display().to_string() == *file);
                let created = if has_command(source) { CREATED } else { "" };
                let problem =
                    format!("{file} does not exist; put the webhook's secret there{created}");
                source.secrets.iter().find(of_file).map(|entry| of_entry(source, entry, &problem))
            }
            LoadError::Unset { variable, .. } => {
                let of_variable =
                    |it: &&SecretRef| matches!(&it.site, SecretSite::Env(name) if name == variable);
                let problem = match store.env(&format!("{variable}_FILE")) {
                    Some(file) => format!(
                        "{file}, which {variable}_FILE names, does not exist; put the webhook's \
                         secret there"
                    ),
                    None => format!("{variable} is not set; set it to the webhook's secret"),
                };
                let entry = source.secrets.iter().find(of_variable);
                entry.map(|entry| of_entry(source, entry, &problem))
            }
            LoadError::NoneActive { sites, .. } => {
                let or_run = if has_command(source) { OR_RUN } else { "" };
                Some(format!("none of its secrets is there: {sites}{or_run}"))
            }
            _ => None,
        };
        match detail {
            Some(detail) => Self::Missing { source_name: source.name.clone(), detail },
            None => Self::Load(error),
        }
    }
}

fn of_entry(source: &SourceConfig, entry: &SecretRef, problem: &str) -> String {
    let optional = if source.secrets.len() > 1 {
        "; if it is not meant to be there yet, or any more, say `optional = true` in its entry"
    } else {
        ""
    };
    format!("its secret `{}` is missing: {problem}{optional}", entry.id)
}

/// Whether a command registers webhooks there and writes their secret to a file.
fn has_command(source: &SourceConfig) -> bool {
    source.preset == Preset::Up
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use signatures::source::parse;

    use super::*;
    use crate::door::Door;
    use crate::metrics::Metrics;

    /// Variables and files that are there; the files' texts are their names.
    struct Given(&'static [(&'static str, &'static str)], &'static [&'static str]);

    impl SecretStore for Given {
        fn env(&self, name: &str) -> Option<String> {
            let mut all = self.0.iter();
            all.find(|(known, _)| *known == name).map(|(_, text)| (*text).to_owned())
        }
        fn file(&self, path: &Path) -> std::io::Result<Vec<u8>> {
            let name = path.to_str().unwrap();
            let is_there = self.1.contains(&name);
            if is_there { Ok(name.into()) } else { Err(std::io::ErrorKind::NotFound.into()) }
        }
    }

    #[track_caller]
    fn check(preset: &str, secrets: &str, given: &Given, expect: &str) {
        let table =
            format!("[sources.demo]\npreset = \"{preset}\"\npath = \"/a\"\nsecrets = [{secrets}]");
        let source = parse("a.toml", &table).unwrap().remove(0);
        let opened = Door::open(source, given, &Metrics::new().unwrap());
        assert_eq!(opened.unwrap_err().to_string(), format!("source `demo`: {expect}"));
    }

    #[test]
    fn a_missing_secret_is_named_by_its_entry_with_what_helps_this_source() {
        let file = r#"{ id = "new", file = "secrets/new" }"#;
        let both = format!(r#"{{ id = "old", file = "secrets/old" }}, {file}"#);
        let env = r#"{ id = "env", env = "DEMO" }"#;
        let optional = r#"{ id = "a", env = "DEMO", optional = true }"#;
        let none = Given(&[], &[]);
        let optional_tip =
            "; if it is not meant to be there yet, or any more, say `optional = true` in its entry";
        let absent = "its secret `new` is missing: secrets/new does not exist; put the webhook's \
                      secret there";
        check("demoz", &both, &Given(&[], &["secrets/old"]), &format!("{absent}{optional_tip}"));
        check("demoz", file, &none, absent);
        check("up", file, &none, &format!("{absent}{CREATED}"));
        let unset = "its secret `env` is missing: DEMO is not set; set it to the webhook's secret";
        check("demoz", env, &none, unset);
        let named = "its secret `env` is missing: secrets/x, which DEMO_FILE names, does not exist; \
                     put the webhook's secret there";
        check("demoz", env, &Given(&[("DEMO_FILE", "secrets/x")], &[]), named);
        check("demoz", optional, &none, "none of its secrets is there: set DEMO");
        check("up", optional, &none, &format!("none of its secrets is there: set DEMO{OR_RUN}"));
    }
}
