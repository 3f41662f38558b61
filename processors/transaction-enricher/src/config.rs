//! This application's knobs.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use banks::{Token, TokenText};
use jiff::SpanRelativeTo;

/// The bank's address when none is given.
const UP_API_URL: &str = "https://api.up.com.au/api/v1";

/// Longest token file read: a longer one is not a token.
const TOKEN_FILE_BYTES_MAX: u64 = 4096;

/// Shortest time to remember an event: the bank repeats a delivery for hours at least.
const DEDUPE_WINDOW_MIN: Duration = Duration::from_hours(1);

/// Longest: by then the raw topic has long forgotten the event itself.
const DEDUPE_WINDOW_MAX: Duration = Duration::from_hours(24 * 366);

/// Longest pause between two reads of one account; every event of a burst waits for it.
const ACCOUNT_READ_INTERVAL_MAX: Duration = Duration::from_mins(1);

/// Flags and variables of the transaction-enricher.
#[derive(Clone, Debug, clap::Args)]
pub struct Config {
    /// Declared source whose events are enriched; events of others are counted and passed over
    #[arg(long, env = "ENRICHER_SOURCE", default_value = "up")]
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

    /// How long a handled event is remembered (`30d`, `12h`): the raw topic's retention
    #[arg(long, env = "ENRICHER_DEDUPE_WINDOW", default_value = "30d", value_parser = dedupe_window)]
    pub dedupe_window: Duration,

    /// Shortest time between two reads of one account (`1s`, `0s`); a burst of events shares them
    #[arg(long, env = "ENRICHER_ACCOUNT_READ_INTERVAL", default_value = "1s", value_parser = account_read_interval)]
    pub account_read_interval: Duration,
}

impl Config {
    /// The token from the variable or the file; refuses when there is neither.
    pub(crate) fn token(&self) -> anyhow::Result<Token> {
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

fn dedupe_window(text: &str) -> Result<Duration, String> {
    span(text)
        .filter(|window| (DEDUPE_WINDOW_MIN..=DEDUPE_WINDOW_MAX).contains(window))
        .ok_or_else(|| "expected a time from 1h to 366d with its unit, such as `30d`".to_owned())
}

fn account_read_interval(text: &str) -> Result<Duration, String> {
    span(text)
        .filter(|interval| *interval <= ACCOUNT_READ_INTERVAL_MAX)
        .ok_or_else(|| "expected a time from 0s to 1m with its unit, such as `1s`".to_owned())
}

fn span(text: &str) -> Option<Duration> {
    let span: jiff::Span = text.parse().ok()?;
    span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn times_have_a_unit_and_bounds() {
        let check =
            |parse: fn(&str) -> Result<Duration, String>, text: &str, expect: Option<u64>| {
                assert_eq!(parse(text).ok().map(|time| time.as_secs()), expect, "{text}");
            };
        check(dedupe_window, "30d", Some(2_592_000));
        check(dedupe_window, "1h", Some(3_600));
        check(dedupe_window, "59m", None);
        check(dedupe_window, "367d", None);
        check(dedupe_window, "-30d", None);
        check(dedupe_window, "30", None);
        check(account_read_interval, "2s", Some(2));
        check(account_read_interval, "0s", Some(0));
        check(account_read_interval, "61s", None);
        check(account_read_interval, "soon", None);
    }

    fn config(file: Option<PathBuf>) -> Config {
        Config {
            source: "up".to_owned(),
            up_api_url: UP_API_URL.to_owned(),
            up_api_token: None,
            up_api_token_file: file,
            dedupe_window: Duration::from_hours(1),
            account_read_interval: Duration::ZERO,
        }
    }

    #[test]
    fn a_missing_token_names_the_variables() {
        let refused = config(None).token().unwrap_err();
        assert_eq!(
            refused.to_string(),
            "no bank token: set UP_API_TOKEN, or UP_API_TOKEN_FILE to a file that holds it"
        );
    }

    #[test]
    fn a_token_file_is_read_without_its_line_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let config = config(Some(path.clone()));
        std::fs::write(&path, "up:test:1\n").unwrap();
        assert_eq!(config.token().unwrap(), Token::new("up:test:1").unwrap());
        for content in [String::new(), "x".repeat(5_000)] {
            std::fs::write(&path, content).unwrap();
            let refused = format!("{:#}", config.token().unwrap_err());
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
        let program = <Program as clap::Parser>::try_parse_from(arguments).unwrap();
        let refused = format!("{:#}", program.config.token().unwrap_err());
        assert!(refused.starts_with("reading the bank's token from UP_API_TOKEN"), "{refused}");
        assert!(!format!("{refused} {program:?}").contains("word"), "{refused}");
    }
}
