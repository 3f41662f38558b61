//! Which dead letters are meant.
use std::str::FromStr;
use std::time::Duration;

use streams::Timestamp;
use streams::topology_file::parse_duration;

use super::letter::Letter;

/// All that is given must hold.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct Filter {
    /// Only those of this app.
    #[arg(long)]
    pub(super) app: Option<String>,
    /// Only those whose error type and variant contain this text.
    #[arg(long, value_name = "TEXT")]
    exception: Option<String>,
    /// Only those whose error's message contains this text.
    #[arg(long, value_name = "TEXT")]
    message: Option<String>,
    /// Only those that came from this topic.
    #[arg(long)]
    topic: Option<String>,
    /// Only those with exactly this key.
    #[arg(long)]
    key: Option<String>,
    /// Only this one; several times for several.
    #[arg(long = "letter", value_name = "PARTITION/OFFSET", requires = "app")]
    letters: Vec<Place>,
    /// Only those given up at this time or later: RFC 3339, or an age such as 2h.
    #[arg(long, value_name = "TIME")]
    since: Option<Moment>,
    /// Only those given up before this time: RFC 3339, or an age such as 2h.
    #[arg(long, value_name = "TIME")]
    until: Option<Moment>,
}

impl Filter {
    pub(super) fn selects(&self, letter: &Letter, now: Timestamp) -> bool {
        let is = |wanted: Option<bool>| wanted.unwrap_or(true);
        let time = letter.time();
        let place = Place { partition: letter.position.partition, offset: letter.position.offset };
        is(self.app.as_ref().map(|app| *app == letter.app))
            && is(self.exception.as_ref().map(|text| letter.exception().contains(text.as_str())))
            && is(self.message.as_ref().map(|text| letter.message().contains(text.as_str())))
            && is(self.topic.as_ref().map(|topic| topic == letter.source()))
            && is(self.key.as_ref().map(|key| letter.key.as_deref() == Some(key.as_bytes())))
            && is(self.since.map(|since| time >= since.at(now)))
            && is(self.until.map(|until| time < until.at(now)))
            && (self.letters.is_empty() || self.letters.contains(&place))
    }
}

/// Where a letter stands on its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) partition: i32,
    pub(super) offset: i64,
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let place = text.split_once('/').and_then(|(partition, offset)| {
            Some(Self { partition: partition.parse().ok()?, offset: offset.parse().ok()? })
        });
        place
            .filter(|place| place.partition >= 0 && place.offset >= 0)
            .ok_or_else(|| "expected partition and offset, such as 0/42".to_owned())
    }
}

/// A time, or how long ago it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    At(Timestamp),
    Ago(Duration),
}

impl Moment {
    fn at(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(time) => time,
            Self::Ago(age) => {
                now.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX))
            }
        }
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(age) = parse_duration(text) {
            return Ok(Self::Ago(age));
        }
        let time: Result<jiff::Timestamp, _> = text.parse();
        time.map(|time| Self::At(time.as_millisecond())).map_err(|_| {
            "expected a time such as 2026-01-02T03:04:05Z, or an age such as 2h".to_owned()
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::letter::testing::letter;
    use super::Filter;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        filter: Filter,
    }

    #[test]
    fn every_condition_must_hold() {
        #[track_caller]
        fn check(line: &str, expect: bool) {
            let words = std::iter::once("dlq").chain(line.split_whitespace());
            let filter = Line::try_parse_from(words).unwrap().filter;
            // given up at 1 s
            assert_eq!(filter.selects(&letter(3, "in/1/17"), 61_000), expect, "{line}");
        }
        check("", true);
        check("--app app --exception Error --topic in --key key", true);
        check("--app other", false);
        check("--exception Fault", false);
        check("--message nowhere", false);
        check("--topic out", false);
        check("--key ke", false);
        check("--since 1m", true);
        check("--since 59s", false);
        check("--until 1m", false);
        check("--until 59s", true);
        check("--since 1970-01-01T00:00:01Z --until 1970-01-01T00:00:01.001Z", true);
        check("--until 1970-01-01T00:00:01Z", false);
        check("--app app --letter 0/3", true);
        check("--app app --letter 0/2 --letter 1/3", false);
        check("--app app --letter 0/2 --letter 0/3", true);
    }

    #[test]
    fn what_is_no_place_or_time_is_wrong_usage() {
        #[track_caller]
        fn check(line: &str, expect: &str) {
            let words = std::iter::once("dlq").chain(line.split_whitespace());
            let said = Line::try_parse_from(words).unwrap_err().to_string();
            assert!(said.contains(expect), "{said}");
        }
        check("--since yesterday", "expected a time");
        check("--until 0h", "expected a time");
        check("--app a --letter 3", "expected partition and offset");
        check("--app a --letter=-1/3", "expected partition and offset");
        check("--letter 0/3", "--app");
    }
}
