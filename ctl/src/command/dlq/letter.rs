//! A dead letter without its value, and the letters that a filter selects.
use std::collections::BTreeMap;

use streams::dead_letter::Reason;
use streams::topology_file::{AppDeclaration, TopologyFile};
use streams::{Headers, Position, Timestamp};

use super::cluster::Cluster;
use super::filter::Filter;
use super::receipt::Receipt;
use crate::command::tail::reader::Record;

/// Letters looked at in one go. Each is kept without its value, some kilobytes at most.
pub(super) const LETTERS_MAX: usize = 100_000;

/// Longest text in a cell; `show` has all of it.
const CELL_CHARS_MAX: usize = 120;

/// One letter.
#[derive(Debug, Clone)]
pub(super) struct Letter {
    /// The app that gave it up.
    pub(super) app: String,
    /// Where it stands.
    pub(super) position: Position,
    /// The record's own time.
    pub(super) timestamp: Timestamp,
    pub(super) key: Option<Vec<u8>>,
    /// Why it is one; none when its headers do not say so in the way they should.
    pub(super) reason: Option<Reason>,
    /// Set when it was sent again before and came back.
    pub(super) receipt: Option<Receipt>,
}

impl Letter {
    /// What `record` on the topic `dead_letters` of `app` says.
    pub(super) fn of(app: &str, dead_letters: &str, record: &Record) -> Self {
        let headers = headers_of(record.headers.clone());
        let reason = Reason::read(&headers);
        let receipt = reason.as_ref().and_then(|reason| {
            Receipt::read(&headers).filter(|receipt| receipt.is_of(dead_letters, &reason.position))
        });
        Self {
            app: app.to_owned(),
            position: Position {
                topic: dead_letters.into(),
                partition: record.partition,
                offset: record.offset,
            },
            timestamp: record.timestamp.unwrap_or_default(),
            key: record.key.clone(),
            reason,
            receipt,
        }
    }

    /// When it was given up.
    pub(super) fn time(&self) -> Timestamp {
        self.reason.as_ref().map_or(self.timestamp, |reason| reason.last_failure_ms)
    }

    pub(super) fn exception(&self) -> &str {
        self.reason.as_ref().map_or("-", |reason| &reason.exception)
    }

    pub(super) fn message(&self) -> &str {
        self.reason.as_ref().map_or("-", |reason| &reason.message)
    }

    pub(super) fn source(&self) -> &str {
        self.reason.as_ref().map_or("-", |reason| &reason.position.topic)
    }

    /// `partition/offset`, as the commands take it.
    pub(super) fn place(&self) -> String {
        format!("{}/{}", self.position.partition, self.position.offset)
    }
}

pub(super) fn headers_of(pairs: Vec<(String, Vec<u8>)>) -> Headers {
    let mut headers = Headers::new();
    for (name, value) in pairs {
        headers.push(name, value);
    }
    headers
}

/// Text from outside as a cell: no line break, nothing a terminal obeys, not longer than one reads.
pub(super) fn one_line(text: &str) -> String {
    let plain = text.chars().map(|next| if next.is_control() { ' ' } else { next });
    plain.take(CELL_CHARS_MAX).collect()
}

/// What a filter selects.
#[derive(Debug)]
pub(super) struct Selection {
    /// Oldest first, at most [`LETTERS_MAX`].
    pub(super) letters: Vec<Letter>,
    /// How many more there are.
    pub(super) left_out: usize,
}

/// Reads the dead letters of the apps that `filter` names.
pub(super) async fn select(
    cluster: &Cluster,
    file: &TopologyFile,
    filter: &Filter,
    now: Timestamp,
) -> anyhow::Result<Selection> {
    let apps: Vec<&AppDeclaration> = match &filter.app {
        Some(id) => vec![file.app(id)?],
        None => file.apps().values().collect(),
    };
    let mut letters = BTreeMap::new();
    let mut left_out = 0_usize;
    for app in apps {
        let Some(topic) = &app.dead_letters else { continue };
        let mut reading = cluster.read_all(topic).await?;
        while let Some(record) = reading.next().await {
            let letter = Letter::of(&app.id, topic, &record?);
            if !filter.selects(&letter, now) {
                continue;
            }
            letters.insert((letter.time(), letter.position.clone()), letter);
            if letters.len() > LETTERS_MAX {
                letters.pop_last();
                left_out = left_out.saturating_add(1);
            }
        }
    }
    Ok(Selection { letters: letters.into_values().collect(), left_out })
}

#[cfg(test)]
pub(super) mod testing {
    use streams::Position;
    use streams::dead_letter::Reason;

    use super::Letter;

    /// The letter `app-dlq/0/<offset>` of a record that failed once, a second after the epoch.
    pub(in super::super) fn letter(offset: i64, failed: &str) -> Letter {
        Letter {
            app: "app".to_owned(),
            position: Position { topic: "app-dlq".into(), partition: 0, offset },
            timestamp: 500,
            key: Some(b"key".to_vec()),
            reason: Some(Reason {
                exception: "app::Error".to_owned(),
                message: "no such account".to_owned(),
                place: "app/decide".to_owned(),
                position: Position::parse(failed).unwrap(),
                attempts: 1,
                first_failure_ms: 1_000,
                last_failure_ms: 1_000,
            }),
            receipt: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::letter;
    use super::*;

    fn record(headers: &Headers) -> Record {
        let pair = |(name, value): (&str, &[u8])| (name.to_owned(), value.to_vec());
        Record {
            partition: 0,
            offset: 3,
            timestamp: Some(500),
            key: None,
            value: None,
            headers: headers.iter().map(|(name, value)| pair((name, value))).collect(),
        }
    }

    #[test]
    fn letter_that_came_back_is_told_from_one_that_inherited_the_header() {
        let mut headers = Headers::new();
        let receipt = Receipt {
            letter: "app-dlq/0/1".to_owned(),
            record: "in/1/17".to_owned(),
            exception: "app::Error".to_owned(),
            attempts: 2,
            redrives: 1,
        };
        receipt.write(&mut headers).unwrap();
        letter(3, "in/1/40").reason.unwrap().write(&mut headers);
        assert_eq!(Letter::of("app", "app-dlq", &record(&headers)).receipt, Some(receipt));
        letter(3, "out/1/40").reason.unwrap().write(&mut headers);
        assert_eq!(Letter::of("app", "app-dlq", &record(&headers)).receipt, None);
    }

    #[test]
    fn record_without_a_reason_is_still_a_letter() {
        let letter = Letter::of("app", "app-dlq", &record(&Headers::new()));
        assert_eq!((letter.exception(), letter.source(), letter.time()), ("-", "-", 500));
    }
}
