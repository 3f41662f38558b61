//! Dead letters, counted or one by one.
use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use serde_json::{Value, json};
use streams::{Clock as _, Position, SystemClock, Timestamp};

use super::cluster::Cluster;
use super::filter::Filter;
use super::letter::{self, LETTERS_MAX, Letter, Selection, one_line};
use super::receipt;
use crate::cli::Shared;
use crate::table::Table;
use crate::{declaration, output};

/// The command line.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    filter: Filter,
    /// Count at most so many, the newest.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// One line for each letter instead of counts, newest last.
    #[arg(long)]
    each: bool,
    /// Tell which were sent again. Reads their topics from the oldest failure on, which may take long.
    #[arg(long)]
    redriven: bool,
}

pub(super) async fn run(args: Args, shared: &Shared) -> anyhow::Result<ExitCode> {
    let (file, _) = declaration::load(shared)?;
    let cluster = Cluster::find(shared).await?;
    let now = SystemClock.now();
    let Selection { mut letters, left_out } =
        letter::select(&cluster, &file, &args.filter, now).await?;
    let surplus = letters.len().saturating_sub(args.limit.unwrap_or(usize::MAX));
    letters.drain(..surplus);
    let redriven =
        if args.redriven { Some(receipt::redriven(&cluster, &letters).await?) } else { None };
    let rows: Vec<Row<'_>> = if args.each {
        letters.iter().map(|letter| Row::of(letter, redriven.as_ref())).collect()
    } else {
        grouped(&letters, redriven.as_ref())
    };
    if shared.json {
        let rows: Vec<Value> = rows.iter().map(|row| row.json(args.each)).collect();
        output::json(&json!({ "dead_letters": rows, "left_out": left_out }))?;
        return Ok(ExitCode::SUCCESS);
    }
    output::line(&render(&rows, args.each, now))?;
    if left_out > 0 {
        output::line(&format!(
            "{left_out} more match: only the oldest {LETTERS_MAX} are looked at; --since goes past them"
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Letters of one app, error and topic; or one letter.
#[derive(Debug)]
struct Row<'a> {
    count: usize,
    came_back: usize,
    /// Sent again already; none when nobody looked.
    redriven: Option<usize>,
    oldest: Timestamp,
    newest: &'a Letter,
}

impl<'a> Row<'a> {
    fn of(letter: &'a Letter, redriven: Option<&BTreeSet<Position>>) -> Self {
        Self {
            count: 1,
            came_back: usize::from(letter.receipt.is_some()),
            redriven: redriven.map(|known| usize::from(known.contains(&letter.position))),
            oldest: letter.time(),
            newest: letter,
        }
    }

    /// Adds a row whose letters are newer.
    fn add(&mut self, newer: &Self) {
        self.count = self.count.saturating_add(newer.count);
        self.came_back = self.came_back.saturating_add(newer.came_back);
        self.redriven = self.redriven.zip(newer.redriven).map(|(a, b)| a.saturating_add(b));
        self.newest = newer.newest;
    }

    fn json(&self, each: bool) -> Value {
        let letter = self.newest;
        let reason = letter.reason.as_ref();
        let mut row = json!({
            "app": letter.app,
            "exception": reason.map(|reason| &reason.exception),
            "topic": reason.map(|reason| &*reason.position.topic),
            "redriven": self.redriven,
            "came_back": self.came_back,
        });
        let more = if each {
            json!({
                "letter": letter.place(),
                "record": reason.map(|reason| reason.position.to_string()),
                "key": letter.key.clone().map(streams::registry::readable),
                "message": reason.map(|reason| &reason.message),
                "attempts": reason.map(|reason| reason.attempts),
                "last_failure_ms": letter.time(),
            })
        } else {
            json!({
                "letters": self.count,
                "oldest_ms": self.oldest,
                "newest_ms": letter.time(),
                "newest_letter": letter.place(),
            })
        };
        if let (Some(row), Value::Object(more)) = (row.as_object_mut(), more) {
            row.extend(more);
        }
        row
    }
}

/// One row for each app, error and topic; `letters` are oldest first.
fn grouped<'a>(letters: &'a [Letter], redriven: Option<&BTreeSet<Position>>) -> Vec<Row<'a>> {
    let mut groups: BTreeMap<(&str, &str, &str), Row<'a>> = BTreeMap::new();
    for letter in letters {
        let row = Row::of(letter, redriven);
        match groups.get_mut(&(letter.app.as_str(), letter.exception(), letter.source())) {
            Some(group) => group.add(&row),
            None => {
                groups.insert((&letter.app, letter.exception(), letter.source()), row);
            }
        }
    }
    groups.into_values().collect()
}

fn render(rows: &[Row<'_>], each: bool, now: Timestamp) -> String {
    let total = rows.iter().fold(0_usize, |sum, row| sum.saturating_add(row.count));
    let mut table = if each {
        Table::new(&["app", "letter", "age", "redriven", "exception", "topic", "key", "message"])
    } else {
        Table::new(&[
            "app",
            "exception",
            "topic",
            "letters",
            "came back",
            "redriven",
            "oldest",
            "newest",
            "newest is",
        ])
    };
    for row in rows {
        let letter = row.newest;
        let newest = age(now, letter.time());
        let redriven = row.redriven.map_or("?".to_owned(), |count| count.to_string());
        let (app, exception, topic) = (letter.app.clone(), letter.exception(), letter.source());
        let (exception, topic) = (one_line(exception), one_line(topic));
        if each {
            let redriven = redriven.replace('0', "no").replace('1', "yes");
            let key = letter.key.as_ref().map_or("-".into(), |key| String::from_utf8_lossy(key));
            let message = letter.message();
            let (key, message) = (one_line(&key), one_line(message));
            table.row(&[app, letter.place(), newest, redriven, exception, topic, key, message]);
        } else {
            let (count, came_back) = (row.count.to_string(), row.came_back.to_string());
            let oldest = age(now, row.oldest);
            let place = letter.place();
            table.row(&[app, exception, topic, count, came_back, redriven, oldest, newest, place]);
        }
    }
    format!("{}\n{total} dead letters", table.render())
}

/// How long ago, in the largest unit that fits.
fn age(now: Timestamp, time: Timestamp) -> String {
    let seconds = now.saturating_sub(time).max(0) / 1_000;
    match seconds {
        86_400.. => format!("{}d", seconds / 86_400),
        3_600.. => format!("{}h", seconds / 3_600),
        60.. => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::letter::testing::letter;
    use super::*;

    fn letters() -> Vec<Letter> {
        let mut of_other_error = letter(5, "in/1/20");
        let reason = of_other_error.reason.as_mut().unwrap();
        "app::Other".clone_into(&mut reason.exception);
        "two\nlines".clone_into(&mut reason.message);
        let mut newer = letter(4, "in/1/18");
        newer.reason.as_mut().unwrap().last_failure_ms = 3_600_000;
        vec![letter(3, "in/1/17"), of_other_error, newer]
    }

    #[test]
    fn letters_are_counted_by_app_error_and_topic() {
        let letters = letters();
        let known = BTreeSet::from([letters[0].position.clone()]);
        let rows = grouped(&letters, Some(&known));
        insta::assert_snapshot!(render(&rows, false, 7_205_000), @r"
        APP  EXCEPTION   TOPIC  LETTERS  CAME BACK  REDRIVEN  OLDEST  NEWEST  NEWEST IS
        app  app::Error  in     2        0          1         2h      1h      0/4
        app  app::Other  in     1        0          0         2h      2h      0/5
        3 dead letters
        ");
    }

    #[test]
    fn each_letter_has_one_line_whatever_its_message_holds() {
        let letters = letters();
        let rows: Vec<Row<'_>> = letters.iter().map(|letter| Row::of(letter, None)).collect();
        insta::assert_snapshot!(render(&rows, true, 7_205_000), @r"
        APP  LETTER  AGE  REDRIVEN  EXCEPTION   TOPIC  KEY  MESSAGE
        app  0/3     2h   ?         app::Error  in     key  no such account
        app  0/5     2h   ?         app::Other  in     key  two lines
        app  0/4     1h   ?         app::Error  in     key  no such account
        3 dead letters
        ");
    }
}
