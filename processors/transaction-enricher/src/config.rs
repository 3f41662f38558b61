//! This application's knobs.

use std::time::Duration;

use banks::UpArgs;
use jiff::SpanRelativeTo;

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

    /// Where the bank is, and the token it knows us by.
    #[command(flatten)]
    pub up: UpArgs,

    /// How long a handled event is remembered (`30d`, `12h`): the raw topic's retention, and the same
    /// as `dedupe_stores` in topology.toml says
    #[arg(long, env = "ENRICHER_DEDUPE_WINDOW", default_value = "30d", value_parser = dedupe_window)]
    pub dedupe_window: Duration,

    /// Shortest time between two reads of one account (`1s`, `0s`); a burst of events shares them
    #[arg(long, env = "ENRICHER_ACCOUNT_READ_INTERVAL", default_value = "1s", value_parser = account_read_interval)]
    pub account_read_interval: Duration,
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
}
