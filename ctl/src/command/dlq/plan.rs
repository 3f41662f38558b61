//! What a redrive would do with each letter, and why.
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Value, json};
use streams::topology_file::{Retention, TopologyFile};
use streams::{Position, Timestamp};

use super::cluster::Cluster;
use super::letter::{LETTERS_MAX, Letter, Selection, one_line};
use crate::table::Table;

/// The runtime's own error.
const FAULT: &str = "streams::fault::Fault";
/// How its message begins when a key or a value cannot be read.
const DECODING: &str = "decoding the ";

/// What is to be done with a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    /// Goes to where it came from.
    Send,
    /// Not this time: the limit is reached.
    Later,
    /// Was sent before.
    Redriven,
    /// Could not be read, and is the same bytes as then.
    SameBytes,
    /// Was sent before, and came back with the same error.
    CameBack,
    /// Is older than its topic keeps records: it may be deleted before it is read, and with it the sign
    /// that it was sent.
    TooOld,
    /// Does not say where it came from.
    NoReason,
    /// Came from what the app does not read, or from a partition that is not there.
    NoPlace,
}

impl Verdict {
    fn is_refusal(self) -> bool {
        !matches!(self, Self::Send | Self::Later | Self::Redriven)
    }

    fn in_words(self) -> &'static str {
        match self {
            Self::Send => "to send",
            Self::Later => "later: more than --limit",
            Self::Redriven => "sent before",
            Self::SameBytes => {
                "refused: the same bytes cannot be read better; --force, if the program or the registry was mended"
            }
            Self::CameBack => {
                "refused: came back with the same error; --force, if its cause was mended since"
            }
            Self::TooOld => {
                "refused: older than its topic keeps records, it may be deleted unread; --force sends it"
            }
            Self::NoReason => "refused: its headers do not say where it came from",
            Self::NoPlace => {
                "refused: the app does not read that topic, or the partition is not there"
            }
        }
    }
}

/// What is known about the places letters came from.
#[derive(Debug)]
pub(super) struct Places<'a> {
    pub(super) file: &'a TopologyFile,
    /// Partitions of the topics that are there.
    pub(super) partitions: BTreeMap<String, i32>,
    /// Letters that were sent before.
    pub(super) redriven: BTreeSet<Position>,
    pub(super) now: Timestamp,
}

impl<'a> Places<'a> {
    pub(super) fn of(
        cluster: &Cluster,
        file: &'a TopologyFile,
        redriven: BTreeSet<Position>,
        now: Timestamp,
    ) -> Self {
        let there = |topic: &String| Some((topic.clone(), cluster.partitions(topic)?));
        let partitions = file.topics().keys().filter_map(there).collect();
        Self { file, partitions, redriven, now }
    }

    fn verdict(&self, letter: &Letter, force: bool) -> Verdict {
        let Some(reason) = &letter.reason else { return Verdict::NoReason };
        let source = &reason.position;
        let app = self.file.apps().get(&letter.app);
        let is_read = app.is_some_and(|app| app.reads().contains(&&*source.topic));
        let count = self.partitions.get(&*source.topic).copied().unwrap_or(0);
        if !is_read || !(0..count).contains(&source.partition) {
            return Verdict::NoPlace;
        }
        if self.redriven.contains(&letter.position) {
            return Verdict::Redriven;
        }
        if force {
            return Verdict::Send;
        }
        if reason.exception.starts_with(FAULT) && reason.message.starts_with(DECODING) {
            return Verdict::SameBytes;
        }
        if letter.receipt.as_ref().is_some_and(|receipt| receipt.exception == reason.exception) {
            return Verdict::CameBack;
        }
        if self.is_too_old(letter) { Verdict::TooOld } else { Verdict::Send }
    }

    fn is_too_old(&self, letter: &Letter) -> bool {
        let topic = self.file.topics().get(letter.source());
        let Some(Retention::For(kept)) = topic.map(|topic| topic.retention) else { return false };
        let kept = i64::try_from(kept.as_millis()).unwrap_or(i64::MAX);
        letter.timestamp.saturating_add(kept) <= self.now
    }
}

/// Every letter with its verdict.
#[derive(Debug)]
pub(super) struct Plan {
    letters: Vec<(Letter, Verdict)>,
    left_out: usize,
    /// Topics that other apps read too, with these apps.
    also_read: BTreeMap<String, Vec<String>>,
}

impl Plan {
    /// Judges the letters, oldest first; at most `limit` are to be sent.
    pub(super) fn of(
        selection: Selection,
        places: &Places<'_>,
        force: bool,
        limit: Option<usize>,
    ) -> Self {
        let limit = limit.unwrap_or(usize::MAX);
        let mut to_send = 0;
        let judge = |letter: Letter| {
            let verdict = match places.verdict(&letter, force) {
                Verdict::Send if to_send >= limit => Verdict::Later,
                Verdict::Send => {
                    to_send += 1;
                    Verdict::Send
                }
                other => other,
            };
            (letter, verdict)
        };
        let letters: Vec<(Letter, Verdict)> = selection.letters.into_iter().map(judge).collect();
        let also_read = also_read(&letters, places.file);
        Self { letters, left_out: selection.left_out, also_read }
    }

    /// The letters to send, by app.
    pub(super) fn to_send(&self) -> BTreeMap<&str, BTreeSet<&Position>> {
        let mut apps: BTreeMap<&str, BTreeSet<&Position>> = BTreeMap::new();
        for (letter, _) in self.letters.iter().filter(|(_, verdict)| *verdict == Verdict::Send) {
            apps.entry(&letter.app).or_default().insert(&letter.position);
        }
        apps
    }

    pub(super) fn count(&self, wanted: Verdict) -> usize {
        self.letters.iter().filter(|(_, verdict)| *verdict == wanted).count()
    }

    /// Letters that match and are not sent, however the sending goes.
    pub(super) fn kept_back(&self) -> usize {
        let refused = self.refused();
        refused.saturating_add(self.count(Verdict::Later)).saturating_add(self.left_out)
    }

    fn refused(&self) -> usize {
        self.letters.iter().filter(|(_, verdict)| verdict.is_refusal()).count()
    }

    pub(super) fn json(&self) -> Value {
        let letter = |(letter, verdict): &(Letter, Verdict)| {
            json!({
                "app": letter.app,
                "letter": letter.place(),
                "record": letter.reason.as_ref().map(|reason| reason.position.to_string()),
                "exception": letter.reason.as_ref().map(|reason| &reason.exception),
                "verdict": verdict,
            })
        };
        json!({
            "letters": self.letters.iter().map(letter).collect::<Vec<_>>(),
            "to_send": self.count(Verdict::Send),
            "redriven": self.count(Verdict::Redriven),
            "refused": self.refused(),
            "left_out": self.count(Verdict::Later).saturating_add(self.left_out),
            "also_read_by": self.also_read,
        })
    }

    pub(super) fn text(&self) -> String {
        let mut groups: BTreeMap<(&str, &str, &str, Verdict), usize> = BTreeMap::new();
        for (letter, verdict) in &self.letters {
            let group = (letter.app.as_str(), letter.exception(), letter.source(), *verdict);
            let count = groups.entry(group).or_default();
            *count = count.saturating_add(1);
        }
        let mut table = Table::new(&["app", "exception", "topic", "letters", "verdict"]);
        for ((app, exception, topic, verdict), count) in groups {
            let (app, exception, topic) = (app.to_owned(), one_line(exception), one_line(topic));
            table.row(&[app, exception, topic, count.to_string(), verdict.in_words().to_owned()]);
        }
        let mut lines = vec![
            table.render(),
            format!(
                "{} to send, {} sent before, {} refused",
                self.count(Verdict::Send),
                self.count(Verdict::Redriven),
                self.refused()
            ),
        ];
        lines.extend(
            self.also_read
                .iter()
                .map(|(topic, apps)| format!("{topic} is read by {} too", apps.join(", "))),
        );
        if self.left_out > 0 {
            lines.push(format!(
                "{} more match: only the oldest {LETTERS_MAX} are looked at; --since goes past them",
                self.left_out
            ));
        }
        lines.join("\n")
    }
}

fn also_read(letters: &[(Letter, Verdict)], file: &TopologyFile) -> BTreeMap<String, Vec<String>> {
    let mut also: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (letter, _) in letters.iter().filter(|(_, verdict)| *verdict == Verdict::Send) {
        let apps = file.apps().values();
        let others =
            apps.filter(|app| app.id != letter.app && app.reads().contains(&letter.source()));
        let others: Vec<String> = others.map(|app| app.id.clone()).collect();
        if !others.is_empty() {
            also.entry(letter.source().to_owned()).or_insert(others);
        }
    }
    also
}

#[cfg(test)]
mod tests;
