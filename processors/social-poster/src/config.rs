//! What this application is told from outside.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use banks::TargetError;
use reqwest::Url;

/// Flags of social-poster and their environment variables.
#[derive(Clone, Debug, clap::Args)]
pub struct Config {
    /// Rules file: which transactions are posted about.
    #[arg(
        long,
        env = "SOCIAL_RULES",
        value_name = "FILE",
        default_value = "processors/social-poster/rules.toml"
    )]
    pub rules: PathBuf,
    /// Mastodon server, for example `https://mastodon.example`; https, or http on this machine.
    #[arg(long, env = "MASTODON_URL", value_name = "URL")]
    pub mastodon_url: Option<String>,
    /// Access token with the scope write:statuses. Arguments show in the list of processes: prefer
    /// the variable or the file.
    #[arg(long, env = "MASTODON_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub mastodon_token: Option<Token>,
    /// File that holds the access token.
    #[arg(long, env = "MASTODON_TOKEN_FILE", value_name = "FILE")]
    pub mastodon_token_file: Option<PathBuf>,
    /// Language of the posts, ISO 639, for example `en`.
    #[arg(long, env = "MASTODON_LANGUAGE", value_name = "CODE")]
    pub mastodon_language: Option<String>,
}

/// An access token; it is not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Token {
    fn from(text: String) -> Self {
        Self(text.trim().to_owned())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(redacted)")
    }
}

/// Who posts on Mastodon.
#[derive(Clone, Debug)]
pub struct MastodonAccount {
    /// The server.
    pub url: Url,
    /// The account's access token.
    pub token: Token,
    /// Language of the posts.
    pub language: Option<String>,
}

/// Why the configuration of Mastodon is refused.
#[derive(Debug, thiserror::Error)]
pub enum MastodonError {
    /// No address that a secret may be sent to.
    #[error("MASTODON_URL (--mastodon-url) {0}")]
    Url(TargetError),
    /// A server without a token.
    #[error("Mastodon needs an access token: set MASTODON_TOKEN or MASTODON_TOKEN_FILE")]
    NoToken,
    /// Which one is meant?
    #[error("MASTODON_TOKEN and MASTODON_TOKEN_FILE are both set; expected one of them")]
    TwoTokens,
    /// The file is not there or not readable.
    #[error("reading the access token from `{}`", file.display())]
    TokenFile {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No header can carry it.
    #[error("the access token of Mastodon is empty or has characters that no token has")]
    BadToken,
}

impl Config {
    /// The Mastodon account; `None` when none is configured. An empty variable is an unset one.
    pub fn mastodon(&self) -> Result<Option<MastodonAccount>, MastodonError> {
        let Some(url) = given(self.mastodon_url.as_ref()) else { return Ok(None) };
        let (url, token) = (banks::target(url).map_err(MastodonError::Url)?, self.token()?);
        let language = given(self.mastodon_language.as_ref()).cloned();
        Ok(Some(MastodonAccount { url, token, language }))
    }

    fn token(&self) -> Result<Token, MastodonError> {
        let token = self.mastodon_token.as_ref().filter(|token| !token.0.is_empty());
        let file = self.mastodon_token_file.as_deref().filter(|file| *file != Path::new(""));
        let token = match (token, file) {
            (Some(token), None) => token.clone(),
            (None, Some(file)) => Token::from(
                fs::read_to_string(file)
                    .map_err(|source| MastodonError::TokenFile { file: file.to_owned(), source })?,
            ),
            (None, None) => return Err(MastodonError::NoToken),
            (Some(_), Some(_)) => return Err(MastodonError::TwoTokens),
        };
        if token.0.is_empty() || !token.0.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(MastodonError::BadToken);
        }
        Ok(token)
    }
}

fn given(text: Option<&String>) -> Option<&String> {
    text.filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn config(url: &str, token: Option<&str>, file: Option<&Path>) -> Config {
        Config {
            rules: PathBuf::new(),
            mastodon_url: Some(url.to_owned()),
            mastodon_token: token.map(|token| Token::from(token.to_owned())),
            mastodon_token_file: file.map(Path::to_owned),
            mastodon_language: Some(String::new()),
        }
    }

    fn check(config: &Config, expect: &str) {
        let found = match config.mastodon() {
            Ok(account) => account.map_or("none".to_owned(), |account| account.url.to_string()),
            Err(error) => error.to_string(),
        };
        assert!(found.contains(expect), "{found}");
    }

    #[test]
    fn a_server_is_https_or_on_this_machine() {
        check(&config("https://m.example", Some("t"), None), "https://m.example/");
        check(&config("http://127.0.0.1:3000", Some("t"), None), "http://127.0.0.1:3000/");
        check(&config("http://[::1]:3000", Some("t"), None), "http://[::1]:3000/");
        check(&config("http://m.example", Some("t"), None), "expected https");
        check(&config("https://me@m.example", Some("t"), None), "without user or password");
        check(&config("m.example", Some("t"), None), "is no URL");
        check(&config("", None, None), "none");
    }

    #[test]
    fn an_account_has_one_token_and_it_is_not_printed() {
        let url = "https://m.example/";
        let mut file = tempfile::NamedTempFile::new().expect("file");
        file.write_all(b"from-the-file\n").expect("written");
        check(&config(url, None, Some(file.path())), url);
        check(&config(url, None, None), "set MASTODON_TOKEN or MASTODON_TOKEN_FILE");
        check(&config(url, Some(""), Some(Path::new(""))), "set MASTODON_TOKEN or");
        check(&config(url, Some("t"), Some(file.path())), "are both set");
        check(&config(url, Some("a b"), None), "no token has");
        check(&config(url, None, Some(Path::new("nowhere"))), "from `nowhere`");
        let config = config(url, Some("hunter2"), None);
        assert!(!format!("{config:?} {:?}", config.mastodon()).contains("hunter2"));
    }
}
