//! What this application is told from outside.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use banks::TargetError;
use reqwest::Url;
use signatures::{Secret, SecretError};

/// Flags of coin-trigger and their environment variables.
#[derive(Clone, Debug, clap::Args)]
pub struct Config {
    /// Rules file: which transactions drop coins.
    #[arg(
        long,
        env = "COIN_RULES",
        value_name = "FILE",
        default_value = "processors/coin-trigger/rules.toml"
    )]
    pub rules: PathBuf,
    /// Where triggers are sent by HTTP, signed; without it they are only written to the topic.
    /// https, or http on this machine.
    #[arg(long, env = "COIN_HOOK_URL", value_name = "URL")]
    pub hook_url: Option<String>,
    /// Secret that signs the hook's requests. Arguments show in the list of processes: prefer the
    /// variable or the file.
    #[arg(long, env = "COIN_HOOK_SECRET", hide_env_values = true, value_name = "SECRET")]
    pub hook_secret: Option<Redacted>,
    /// File that holds the secret.
    #[arg(long, env = "COIN_HOOK_SECRET_FILE", value_name = "FILE")]
    pub hook_secret_file: Option<PathBuf>,
    /// Hours for which the receiver takes a repeated Idempotency-Key as the same request; after a
    /// crash nothing older is sent again.
    #[arg(long, env = "COIN_HOOK_KEY_HOURS", value_name = "HOURS", default_value_t = 24,
          value_parser = clap::value_parser!(u32).range(1..))]
    pub hook_key_hours: u32,
}

/// A text that is not printed.
#[derive(Clone)]
pub struct Redacted(String);

impl std::fmt::Debug for Redacted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Redacted")
    }
}

impl From<String> for Redacted {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// A hook, ready to be called.
#[derive(Clone, Debug)]
pub struct HookTarget {
    /// Where.
    pub url: Url,
    /// What signs.
    pub secret: Secret,
    /// How long the receiver honours an idempotency key.
    pub key_validity: Duration,
}

/// Why the hook's configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// No address that a secret may be sent to.
    #[error("COIN_HOOK_URL (--hook-url) {0}")]
    Url(TargetError),
    /// A hook without a secret.
    #[error("the hook needs a secret: set COIN_HOOK_SECRET or COIN_HOOK_SECRET_FILE")]
    NoSecret,
    /// Which one is meant?
    #[error("COIN_HOOK_SECRET and COIN_HOOK_SECRET_FILE are both set; expected one of them")]
    TwoSecrets,
    /// The file is not there or not readable.
    #[error("reading the hook's secret from `{}`", file.display())]
    SecretFile {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// An empty secret.
    #[error("the hook's secret is not usable")]
    Secret(#[from] SecretError),
}

impl Config {
    /// The hook; `None` when none is configured. An empty variable is an unset one.
    pub fn hook(&self) -> Result<Option<HookTarget>, HookError> {
        let Some(url) = self.hook_url.as_deref().filter(|url| !url.is_empty()) else {
            return Ok(None);
        };
        Ok(Some(HookTarget {
            url: banks::target(url).map_err(HookError::Url)?,
            secret: self.secret()?,
            key_validity: Duration::from_hours(1).saturating_mul(self.hook_key_hours),
        }))
    }

    fn secret(&self) -> Result<Secret, HookError> {
        let secret = self.hook_secret.as_ref().filter(|secret| !secret.0.is_empty());
        let file = self.hook_secret_file.as_deref().filter(|file| *file != Path::new(""));
        let bytes = match (secret, file) {
            (Some(secret), None) => secret.0.clone().into_bytes(),
            (None, Some(file)) => fs::read(file)
                .map_err(|source| HookError::SecretFile { file: file.to_owned(), source })?,
            (None, None) => return Err(HookError::NoSecret),
            (Some(_), Some(_)) => return Err(HookError::TwoSecrets),
        };
        Ok(Secret::new(bytes)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn config(url: &str, secret: Option<&str>, file: Option<&Path>) -> Config {
        Config {
            rules: PathBuf::new(),
            hook_url: Some(url.to_owned()),
            hook_secret: secret.map(|secret| Redacted(secret.to_owned())),
            hook_secret_file: file.map(Path::to_owned),
            hook_key_hours: 24,
        }
    }

    fn check(config: &Config, expect: &str) {
        let found = match config.hook() {
            Ok(hook) => hook.map_or("none".to_owned(), |hook| hook.url.to_string()),
            Err(error) => error.to_string(),
        };
        assert!(found.contains(expect), "{found}");
    }

    #[test]
    fn a_hook_is_https_or_on_this_machine() {
        for url in ["https://a.example/hook", "http://127.0.0.1:80/h", "http://[::1]:8080/"] {
            check(&config(url, Some("s"), None), url.trim_end_matches(":80/h"));
        }
        check(&config("http://localhost/h", Some("s"), None), "http://localhost/h");
        check(&config("http://a.example/hook", Some("s"), None), "expected https");
        check(&config("http://127.0.0.1.example/", Some("s"), None), "expected https");
        check(&config("https://me:pw@a.example/", Some("s"), None), "without user or password");
        check(&config("ftp://localhost/", Some("s"), None), "expected https");
        check(&config("hook", Some("s"), None), "is no URL");
        check(&config("", None, None), "none");
    }

    #[test]
    fn a_hook_has_one_secret_and_it_is_not_printed() {
        let url = "https://a.example/";
        let mut file = tempfile::NamedTempFile::new().expect("file");
        file.write_all(b"from-the-file\n").expect("written");
        check(&config(url, None, Some(file.path())), url);
        check(&config(url, None, None), "set COIN_HOOK_SECRET or COIN_HOOK_SECRET_FILE");
        check(&config(url, Some(""), Some(Path::new(""))), "set COIN_HOOK_SECRET or");
        check(&config(url, Some("s"), Some(file.path())), "are both set");
        check(&config(url, Some(" "), None), "is not usable");
        check(&config(url, None, Some(Path::new("nowhere"))), "from `nowhere`");
        let config = config(url, Some("hunter2"), None);
        assert!(!format!("{config:?} {:?}", config.hook()).contains("hunter2"));
    }
}
