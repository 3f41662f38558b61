//! Loads a source's secrets from where its table says they are.

use std::io;
use std::path::{Path, PathBuf};

use crate::key::KeySet;
use crate::secret::{Secret, SecretError};
use crate::source::config::{SecretRef, SecretSite, SourceConfig};
use crate::verify::{SetupError, Verifier};

/// Gives the text of secrets. The binaries read the environment and files; tests hand in their own.
pub trait SecretStore {
    /// The value of an environment variable, `None` when it is not set.
    fn env(&self, name: &str) -> Option<String>;
    /// The content of a file; [`io::ErrorKind::NotFound`] means it is absent.
    fn file(&self, path: &Path) -> io::Result<Vec<u8>>;
}

/// Why a source's secrets cannot be loaded. No message holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A variable that must be set is not.
    #[error("source `{source_name}` has no secret: set {variable} to the webhook's secret")]
    Unset {
        /// The source.
        source_name: String,
        /// The variable.
        variable: String,
    },
    /// A file that must be there is not.
    #[error(
        "source `{source_name}` has no secret: {file} does not exist; `bankstream webhook create` \
         writes it, or put the webhook's secret there"
    )]
    Absent {
        /// The source.
        source_name: String,
        /// The file.
        file: String,
    },
    /// Every secret is optional and none is there.
    #[error(
        "source `{source_name}` has no secret: {sites}, or run `bankstream webhook create` where \
         the bank offers it"
    )]
    NoneActive {
        /// The source.
        source_name: String,
        /// What to set or write.
        sites: String,
    },
    /// A secret is there and empty.
    #[error("source `{source_name}`: {site} is empty{}; expected the webhook's secret", behind(.source))]
    Empty {
        /// The source.
        source_name: String,
        /// The variable or file.
        site: String,
        /// What is wrong with it.
        #[source]
        source: SecretError,
    },
    /// A secret is there and not a key of the source's scheme, or the scheme lacks a parameter.
    #[error("source `{source_name}`: {problem}")]
    Setup {
        /// The source.
        source_name: String,
        /// What is wrong; it is part of this message, not a cause below it.
        problem: SetupError,
    },
    /// A file cannot be read.
    #[error("source `{source_name}`: cannot read the secret in {file}")]
    Unreadable {
        /// The source.
        source_name: String,
        /// The file.
        file: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Where a secret is empty although its place is not.
fn behind(problem: &SecretError) -> String {
    match problem {
        SecretError::Empty => String::new(),
        SecretError::Prefix(prefix) => format!(" behind `{prefix}`"),
    }
}

/// A source's active secrets by key id, in declared order; at least one, unless keys are fetched.
pub type Loaded = Vec<(String, Secret)>;

impl SourceConfig {
    /// Loads every secret that is there.
    pub fn load_secrets(&self, store: &impl SecretStore) -> Result<Loaded, LoadError> {
        let mut loaded = Loaded::with_capacity(self.secrets.len());
        for secret in &self.secrets {
            match self.text(store, &secret.site)? {
                Some(text) => {
                    let key = Secret::new(text).map_err(|source| LoadError::Empty {
                        source_name: self.name.clone(),
                        site: secret.site.to_string(),
                        source,
                    })?;
                    let key = key.valid(secret.not_before, secret.not_after);
                    loaded.push((secret.id.clone(), key));
                }
                None if secret.optional => {}
                None => return Err(self.missing(&secret.site)),
            }
        }
        if loaded.is_empty() && self.remote.is_none() {
            let sites: Vec<_> = self.secrets.iter().map(|secret| secret.site.advice()).collect();
            let sites = sites.join(" or ");
            return Err(LoadError::NoneActive { source_name: self.name.clone(), sites });
        }
        Ok(loaded)
    }

    /// A verifier with every secret that is there.
    pub fn verifier(&self, store: &impl SecretStore) -> Result<Verifier, LoadError> {
        self.verifier_with(self.load_secrets(store)?, &KeySet::default())
    }

    /// A verifier with these secrets, and these keys that were fetched.
    pub fn verifier_with(&self, secrets: Loaded, fetched: &KeySet) -> Result<Verifier, LoadError> {
        let scheme = self.scheme.clone();
        let verifier = match &self.remote {
            None => Verifier::new(scheme, secrets),
            Some(_) => Verifier::with_fetched(scheme, secrets, fetched),
        };
        verifier.map_err(|problem| LoadError::Setup { source_name: self.name.clone(), problem })
    }

    /// The text at a place; `None` when it is not there.
    pub fn text(
        &self,
        store: &impl SecretStore,
        site: &SecretSite,
    ) -> Result<Option<Vec<u8>>, LoadError> {
        match site {
            SecretSite::File(path) => self.read(store, path),
            SecretSite::Env(variable) => {
                match (store.env(variable), file_variable(store, variable)) {
                    (Some(text), _) => Ok(Some(text.into_bytes())),
                    (None, Some(path)) => self.read(store, &path),
                    (None, None) => Ok(None),
                }
            }
        }
    }

    /// The files that its secrets are in, to be watched.
    pub fn secret_files(&self, store: &impl SecretStore) -> Vec<PathBuf> {
        let file = |secret: &SecretRef| match &secret.site {
            SecretSite::File(path) => Some(path.clone()),
            SecretSite::Env(variable) if store.env(variable).is_none() => {
                file_variable(store, variable)
            }
            SecretSite::Env(_) => None,
        };
        self.secrets.iter().filter_map(file).collect()
    }

    fn read(&self, store: &impl SecretStore, path: &Path) -> Result<Option<Vec<u8>>, LoadError> {
        match store.file(path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(LoadError::Unreadable {
                source_name: self.name.clone(),
                file: path.display().to_string(),
                source,
            }),
        }
    }

    fn missing(&self, site: &SecretSite) -> LoadError {
        let source_name = self.name.clone();
        match site {
            SecretSite::Env(variable) => {
                LoadError::Unset { source_name, variable: variable.clone() }
            }
            SecretSite::File(path) => {
                LoadError::Absent { source_name, file: path.display().to_string() }
            }
        }
    }
}

/// The file that holds what a variable would: as containers are given secrets.
fn file_variable(store: &impl SecretStore, variable: &str) -> Option<PathBuf> {
    store.env(&format!("{variable}_FILE")).map(PathBuf::from)
}

impl SecretSite {
    fn advice(&self) -> String {
        match self {
            Self::Env(variable) => format!("set {variable}"),
            Self::File(path) => format!("put it in {}", path.display()),
        }
    }
}

impl std::fmt::Display for SecretSite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Env(variable) => write!(f, "environment variable {variable}"),
            Self::File(path) => write!(f, "file {}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::parse;

    struct Given(&'static [(&'static str, &'static str)], Option<&'static str>);

    impl SecretStore for Given {
        fn env(&self, name: &str) -> Option<String> {
            let mut set = self.0.iter();
            set.find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        }
        fn file(&self, path: &Path) -> io::Result<Vec<u8>> {
            assert_eq!(path, Path::new("secrets/up"));
            match self.1 {
                Some("unreadable") => Err(io::ErrorKind::PermissionDenied.into()),
                Some(text) => Ok(text.as_bytes().to_vec()),
                None => Err(io::ErrorKind::NotFound.into()),
            }
        }
    }

    fn source(env_optional: bool, file_optional: bool) -> SourceConfig {
        let text = format!(
            r#"[sources.up]
            preset = "up"
            path = "/a"
            secrets = [
                {{ id = "env", env = "UP_SECRET", optional = {env_optional} }},
                {{ id = "file", file = "secrets/up", optional = {file_optional} }},
            ]"#
        );
        parse("a.toml", &text).unwrap().remove(0)
    }

    #[test]
    fn every_secret_that_is_there_is_active() {
        let given = Given(&[("UP_SECRET", "one")], Some("two\n"));
        let loaded = source(false, false).load_secrets(&given).unwrap();
        let expect = [("env", "one"), ("file", "two")]
            .map(|(id, secret)| (id.to_owned(), Secret::new(secret).unwrap()));
        assert_eq!(loaded, expect);
    }

    #[test]
    fn an_optional_secret_may_be_absent_but_one_must_be_there() {
        let only_file = Given(&[], Some("two"));
        let loaded = source(true, true).load_secrets(&only_file).unwrap();
        assert_eq!(loaded.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["file"]);

        let nothing = Given(&[], None);
        let error = source(true, true).load_secrets(&nothing).unwrap_err().to_string();
        assert!(error.contains("set UP_SECRET") && error.contains("secrets/up"), "{error}");
        assert!(error.contains("bankstream webhook create"), "{error}");
    }

    #[test]
    fn a_variable_s_text_may_be_in_the_file_that_another_names() {
        let named = Given(&[("UP_SECRET_FILE", "secrets/up")], Some("from file\n"));
        let source = source(false, true);
        let loaded = source.load_secrets(&named).unwrap();
        assert_eq!(loaded[0], ("env".to_owned(), Secret::new("from file").unwrap()));
        assert_eq!(source.secret_files(&named), ["secrets/up", "secrets/up"].map(PathBuf::from));

        let set = Given(&[("UP_SECRET", "one"), ("UP_SECRET_FILE", "secrets/up")], Some("two"));
        assert_eq!(source.load_secrets(&set).unwrap()[0].1, Secret::new("one").unwrap());
        assert_eq!(source.secret_files(&set), [PathBuf::from("secrets/up")]);
    }

    #[test]
    fn a_set_without_a_key_that_can_be_used_is_no_keys_but_an_error() {
        let text = r#"[sources.plaid]
            preset = "plaid"
            path = "/a"
            secrets = [{ id = "file", file = "secrets/up" }]"#;
        let source = parse("a.toml", text).unwrap().remove(0);
        for set in [r#"{"keys":[]}"#, r#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#] {
            let error = source.verifier(&Given(&[], Some(set))).unwrap_err();
            assert!(matches!(error, LoadError::Setup { .. }), "{error:?}");
            let error = error.to_string();
            for part in ["source `plaid`", "key `file`", "has no key that can be used, but "] {
                assert!(error.contains(part), "`{error}` should contain `{part}`");
            }
        }
        let up = self::source(false, true);
        let pem = Given(&[("UP_SECRET", "-----BEGIN PUBLIC KEY-----")], None);
        let error = up.verifier(&pem).unwrap_err().to_string();
        assert!(error.contains("the key's text is a key or a certificate in PEM"), "{error}");
    }

    #[test]
    fn what_is_missing_empty_or_unreadable_is_named() {
        #[track_caller]
        fn check(given: &Given, expect: &[&str]) {
            let error = source(false, false).load_secrets(given).unwrap_err().to_string();
            for part in expect {
                assert!(error.contains(part), "`{error}` should contain `{part}`");
            }
        }
        check(&Given(&[], Some("two")), &["`up`", "set UP_SECRET"]);
        check(&Given(&[("UP_SECRET", "one")], None), &["secrets/up", "webhook create"]);
        check(&Given(&[("UP_SECRET", "")], Some("two")), &["UP_SECRET is empty"]);
        check(
            &Given(&[("UP_SECRET", "whsec_")], Some("two")),
            &["UP_SECRET is empty behind `whsec_`"],
        );
        check(&Given(&[("UP_SECRET", "one")], Some("\n")), &["secrets/up is empty"]);
        check(&Given(&[("UP_SECRET", "one")], Some("unreadable")), &["cannot read", "secrets/up"]);
    }
}
