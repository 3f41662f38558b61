//! This app's knobs.

use std::time::Duration;

use banks::UpArgs;
use streams::topology_file::parse_duration;

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

    /// Where the bank is, and the token it knows us by.
    #[command(flatten)]
    pub up: UpArgs,
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
            up: UpArgs::default(),
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
}
