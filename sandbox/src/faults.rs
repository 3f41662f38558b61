//! What goes wrong, and how often.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Rates of trouble, in percent of the cases, and how long it takes. Flags set them at start, the
/// control API while the bank runs.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Every API answer waits a random time of up to this many milliseconds.
    #[arg(long = "fault-api-latency-ms", default_value_t = 0)]
    pub api_latency_ms: u64,
    /// API requests answered 500, in percent.
    #[arg(long = "fault-api-error-percent", default_value_t = 0, value_parser = percent())]
    pub api_error_percent: u8,
    /// API requests answered 429 although the hour's budget is not used up, in percent.
    #[arg(long = "fault-api-throttle-percent", default_value_t = 0, value_parser = percent())]
    pub api_throttle_percent: u8,
    /// Webhook events sent twice, in percent.
    #[arg(long = "fault-duplicate-percent", default_value_t = 0, value_parser = percent())]
    pub duplicate_percent: u8,
    /// Webhook events held back a random time, so that later ones overtake them, in percent.
    #[arg(long = "fault-reorder-percent", default_value_t = 0, value_parser = percent())]
    pub reorder_percent: u8,
    /// Longest time a reordered event is held back, in milliseconds.
    #[arg(long = "fault-reorder-window-ms", default_value_t = 2_000)]
    pub reorder_window_ms: u64,
    /// Webhook events never sent, in percent.
    #[arg(long = "fault-lost-percent", default_value_t = 0, value_parser = percent())]
    pub lost_percent: u8,
    /// Webhook events sent late, in percent.
    #[arg(long = "fault-late-percent", default_value_t = 0, value_parser = percent())]
    pub late_percent: u8,
    /// How late, in milliseconds.
    #[arg(long = "fault-late-ms", default_value_t = 10_000)]
    pub late_ms: u64,
    /// Webhook events accompanied by a forged one, in percent.
    #[arg(long = "fault-forged-percent", default_value_t = 0, value_parser = percent())]
    pub forged_percent: u8,
    /// Holds of a generated day that settle as a deletion and a new transaction, in percent.
    #[arg(long = "recreated-percent", default_value_t = 3, value_parser = percent())]
    pub recreated_percent: u8,
    /// Holds of a generated day that are deleted, in percent.
    #[arg(long = "deleted-percent", default_value_t = 6, value_parser = percent())]
    pub deleted_percent: u8,
    /// Holds of a generated day that settle with a tip, in percent.
    #[arg(long = "tip-percent", default_value_t = 10, value_parser = percent())]
    pub tip_percent: u8,
    /// Purchases of a generated day in a foreign currency, in percent.
    #[arg(long = "foreign-percent", default_value_t = 6, value_parser = percent())]
    pub foreign_percent: u8,
    /// Steps of a generated day that move money between own accounts, in percent.
    #[arg(long = "transfer-percent", default_value_t = 8, value_parser = percent())]
    pub transfer_percent: u8,
    /// Purchases of a generated day that are rounded up into the saver, in percent.
    #[arg(long = "round-up-percent", default_value_t = 25, value_parser = percent())]
    pub round_up_percent: u8,
}

fn percent() -> clap::builder::RangedI64ValueParser<u8> {
    clap::value_parser!(u8).range(0..=100)
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            api_latency_ms: 0,
            api_error_percent: 0,
            api_throttle_percent: 0,
            duplicate_percent: 0,
            reorder_percent: 0,
            reorder_window_ms: 2_000,
            lost_percent: 0,
            late_percent: 0,
            late_ms: 10_000,
            forged_percent: 0,
            recreated_percent: 3,
            deleted_percent: 6,
            tip_percent: 10,
            foreign_percent: 6,
            transfer_percent: 8,
            round_up_percent: 25,
        }
    }
}

/// Why a change of the faults is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not an object, an unknown name, or a value of the wrong kind.
    #[error("reading faults: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// More than all.
    #[error("`{0}` is a percentage: expected 0 to 100")]
    NotAPercentage(String),
}

impl Faults {
    /// These faults with the named ones replaced by the members of `change`.
    pub fn changed(&self, change: Value) -> Result<Self, Error> {
        let change: serde_json::Map<String, Value> = serde_json::from_value(change)?;
        let more_than_all = |(name, value): &(&String, &Value)| {
            name.ends_with("_percent") && value.as_u64().is_some_and(|percent| percent > 100)
        };
        if let Some((name, _)) = change.iter().find(more_than_all) {
            return Err(Error::NotAPercentage(name.clone()));
        }
        let mut all: serde_json::Map<String, Value> =
            serde_json::from_value(serde_json::to_value(self)?)?;
        all.extend(change);
        Ok(serde_json::from_value(Value::Object(all))?)
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, Command, FromArgMatches as _};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_change_names_what_it_changes_and_nothing_else() {
        let faults = Faults::default().changed(json!({ "lost_percent": 7 })).unwrap();
        assert_eq!(faults, Faults { lost_percent: 7, ..Faults::default() });
        for wrong in [json!({ "lost": 7 }), json!({ "lost_percent": 101 }), json!([])] {
            assert!(Faults::default().changed(wrong).is_err());
        }
    }

    #[test]
    fn without_flags_the_defaults_hold() {
        let command = Faults::augment_args(Command::new("sandbox"));
        let matches = command.get_matches_from(["sandbox"]);
        assert_eq!(Faults::from_arg_matches(&matches).unwrap(), Faults::default());
    }
}
