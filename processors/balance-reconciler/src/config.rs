//! This app's knobs.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use banks::{Token, TokenText};
use streams::topology_file::parse_duration;

/// The bank's address when none is given.
const UP_API_URL: &str = "https://api.up.com.au/api/v1";

/// Longest token file read: a longer one is not a token.
const TOKEN_FILE_BYTES_MAX: u64 = 4096;

/// Shortest quiet period: the clock looks once a second.
const QUIET_PERIOD_MIN: Duration = Duration::from_secs(1);

/// Longest quiet period: a day in which nothing is called unexplained helps nobody.
const QUIET_PERIOD_MAX: Duration = Duration::from_hours(24);

/// Flags and variables of the balance-reconciler.
#[derive(Clone, Debug, clap::Args)]
pub struct Config {
    /// How long an account must be quiet before a difference is called unexplained (`2m`, `10s`)
    #[arg(long, env = "QUIET_PERIOD", default_value = "2m", value_parser = quiet_period)]
    pub quiet_period: Duration,

    /// Declared source whose accounts are reconciled; records of others are passed over
    #[arg(long, env = "RECONCILED_SOURCE", default_value = "up")]
    pub source: String,

    /// Base of the bank's API
    #[arg(long, env = "UP_API_URL", default_value = UP_API_URL)]
    pub up_api_url: String,

    /// The bank's token; prefer the variable, other users can see flags
    #[arg(long, env = "UP_API_TOKEN", hide_env_values = true)]
    pub up_api_token: Option<TokenText>,

    /// File with the bank's token
    #[arg(long, env = "UP_API_TOKEN_FILE", conflicts_with = "up_api_token")]
    pub up_api_token_file: Option<PathBuf>,
}

impl Config {
    /// The token from the variable or the file; refuses when there is neither.
    pub fn token(&self) -> anyhow::Result<Token> {
        if let Some(text) = &self.up_api_token {
            return text.token().context("reading the bank's token from UP_API_TOKEN");
        }
        let path = self.up_api_token_file.as_ref().context(
            "no bank token: set UP_API_TOKEN, or UP_API_TOKEN_FILE to a file that holds it",
        )?;
        let reading = || format!("reading the bank's token from {}", path.display());
        let size = std::fs::metadata(path).with_context(reading)?.len();
        ensure!(
            size <= TOKEN_FILE_BYTES_MAX,
            "{} has {size} bytes: expected a file with the bank's token and nothing else",
            path.display()
        );
        let text = std::fs::read_to_string(path).with_context(reading)?;
        Token::new(&text).with_context(reading)
    }
}

fn quiet_period(text: &str) -> Result<Duration, String> {
    parse_duration(text)
        .filter(|period| (QUIET_PERIOD_MIN..=QUIET_PERIOD_MAX).contains(period))
        .ok_or_else(|| {
            "expected a time from 1s to 24h with its unit, such as `2m` or `10s`".to_owned()
        })
}

#[cfg(test)]
impl Config {
    /// What the command line gives without a flag, and no token.
    pub(crate) fn of_a_test() -> Self {
        Self {
            quiet_period: Duration::from_mins(2),
            source: "up".to_owned(),
            up_api_url: UP_API_URL.to_owned(),
            up_api_token: None,
            up_api_token_file: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quiet_period_has_a_unit_and_bounds() {
        let check = |text: &str, expect: Option<u64>| {
            assert_eq!(quiet_period(text).ok().map(|period| period.as_secs()), expect, "{text}");
        };
        check("2m", Some(120));
        check("10s", Some(10));
        check("90m", Some(5_400));
        check("24h", Some(86_400));
        check("120", None);
        check("0s", None);
        check("-2m", None);
        check("25h", None);
        check("soon", None);
    }

    #[test]
    fn a_missing_token_names_the_variables() {
        let refused = Config::of_a_test().token().expect_err("there is none");
        assert_eq!(
            refused.to_string(),
            "no bank token: set UP_API_TOKEN, or UP_API_TOKEN_FILE to a file that holds it"
        );
    }

    #[test]
    fn a_token_file_is_read_without_its_line_end() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("token");
        let config = Config { up_api_token_file: Some(path.clone()), ..Config::of_a_test() };
        std::fs::write(&path, "up:test:1\n").expect("the test's own file");
        let token = config.token().expect("a token");
        assert_eq!(token, Token::new("up:test:1").expect("usable"));
        for content in [String::new(), "x".repeat(5_000)] {
            std::fs::write(&path, content).expect("the test's own file");
            let refused = format!("{:#}", config.token().expect_err("no token in it"));
            assert!(refused.contains(&*path.to_string_lossy()), "{refused}");
        }
    }
    /// The command line shows what it refuses, so it must take any token.
    #[test]
    fn a_token_that_is_refused_is_not_shown() {
        #[derive(Debug, clap::Parser)]
        struct Program {
            #[command(flatten)]
            config: Config,
        }
        let arguments = ["app", "--up-api-token", "up:secret:\nword"];
        let program = <Program as clap::Parser>::try_parse_from(arguments).expect("a command line");
        let refused = format!("{:#}", program.config.token().expect_err("not one word"));
        assert!(refused.starts_with("reading the bank's token from UP_API_TOKEN"), "{refused}");
        assert!(!format!("{refused} {program:?}").contains("word"), "{refused}");
    }
}
