//! One dead letter, whole.
use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::{Map, Value, json};
use streams::registry::{Registry, readable};

use super::cluster::Cluster;
use super::filter::Place;
use super::letter::Letter;
use crate::cli::Shared;
use crate::command::tail::show::headers;
use crate::{declaration, output};

/// The command line.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The app that gave it up.
    app: String,
    /// Where it stands on the app's topic of dead letters; `bankstream dlq list --each` tells.
    #[arg(value_name = "PARTITION/OFFSET")]
    letter: Place,
}

pub(super) async fn run(args: Args, shared: &Shared) -> anyhow::Result<ExitCode> {
    let (file, _) = declaration::load(shared)?;
    let topic = file.app(&args.app)?.dead_letters.as_deref();
    let topic =
        topic.with_context(|| format!("`{}` reads nothing, so has no dead letters", args.app))?;
    let cluster = Cluster::find(shared).await?;
    let registry = Registry::new(&shared.schema_registry_url()?)?;
    let Place { partition, offset } = args.letter;
    let mut reading = cluster.read_from(topic, &BTreeMap::from([(partition, offset)])).await?;
    let record = reading.next().await.transpose()?.filter(|record| record.offset == offset);
    let record = record.with_context(|| {
        format!("no letter {partition}/{offset} on {topic}: it is not there yet, or no longer kept")
    })?;
    let letter = Letter::of(&args.app, topic, &record);
    let value = Shown::of(record.value.as_deref(), &registry).await;
    let headers = headers(record.headers);
    if shared.json {
        output::json(&json(&letter, &value, &headers))?;
    } else {
        output::line(&text(&letter, &value, &headers))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A value as a person can read it.
#[derive(Debug)]
enum Shown {
    Tombstone,
    /// Avro, by its writer's schema.
    Decoded(Value),
    /// The bytes, and why they are not more.
    Bytes {
        hex: String,
        why: String,
    },
}

impl Shown {
    async fn of(value: Option<&[u8]>, registry: &Registry) -> Self {
        let Some(bytes) = value else { return Self::Tombstone };
        let bytes_because = |why: String| Self::Bytes { hex: hex(bytes), why };
        match registry.to_json(bytes).await {
            Ok(Some(value)) => Self::Decoded(value),
            Ok(None) => bytes_because("not framed Avro".to_owned()),
            Err(error) => bytes_because(error.to_string()),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digit = |four: u8| DIGITS.get(usize::from(four)).copied();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).flatten().collect()
}

fn json(letter: &Letter, value: &Shown, headers: &Map<String, Value>) -> Value {
    let reason = letter.reason.as_ref();
    let (value, undecoded) = match value {
        Shown::Tombstone => (Value::Null, None),
        Shown::Decoded(value) => (value.clone(), None),
        Shown::Bytes { hex, why } => (json!({ "hex": hex }), Some(why)),
    };
    json!({
        "app": letter.app,
        "letter": letter.place(),
        "record": reason.map(|reason| json!({
            "topic": &*reason.position.topic,
            "partition": reason.position.partition,
            "offset": reason.position.offset,
            "timestamp": letter.timestamp,
        })),
        "reason": reason.map(|reason| json!({
            "exception": reason.exception,
            "message": reason.message,
            "place": reason.place,
            "attempts": reason.attempts,
            "first_failure_ms": reason.first_failure_ms,
            "last_failure_ms": reason.last_failure_ms,
        })),
        "came_back": letter.receipt,
        "key": letter.key.clone().map(readable),
        "value": value,
        "undecoded": undecoded,
        "headers": headers,
    })
}

fn text(letter: &Letter, value: &Shown, headers: &Map<String, Value>) -> String {
    let mut lines = vec![format!("letter     {}", letter.position)];
    match &letter.reason {
        None => lines
            .push("reason     its headers do not say, or not in the way they should".to_owned()),
        Some(reason) => lines.extend([
            format!(
                "record     {} of {}",
                plain(&reason.position.to_string()),
                time(letter.timestamp)
            ),
            format!("error      {}", plain(&reason.exception)),
            format!("message    {}", plain(&reason.message)),
            format!("place      {}", plain(&reason.place)),
            format!(
                "tries      {}, from {} to {}",
                reason.attempts,
                time(reason.first_failure_ms),
                time(reason.last_failure_ms)
            ),
        ]),
    }
    if let Some(receipt) = &letter.receipt {
        lines.push(plain(&format!(
            "came back  redrive {}, {} tries before; then {} of {}",
            receipt.redrives, receipt.attempts, receipt.exception, receipt.letter
        )));
    }
    let key = letter.key.clone().map_or(Value::Null, readable);
    lines.push(format!("key        {key}"));
    match value {
        Shown::Tombstone => lines.push("value      none".to_owned()),
        Shown::Decoded(value) => lines.push(format!("value      {value:#}")),
        Shown::Bytes { hex, why } => {
            lines.push(format!("value      hex {hex}"));
            lines.push(format!("           {why}"));
        }
    }
    lines.push("headers".to_owned());
    lines.extend(headers.iter().map(|(name, value)| format!("    {name}: {value}")));
    lines.join("\n")
}

/// Text from outside, without what a terminal would obey.
fn plain(text: &str) -> String {
    text.chars().map(|next| if next.is_control() { ' ' } else { next }).collect()
}

fn time(millis: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(millis);
    time.map_or_else(|_| millis.to_string(), |time| format!("{time:.3}"))
}

#[cfg(test)]
mod tests {
    use streams::registry::Registry;

    use super::super::letter::testing::letter;
    use super::super::receipt::Receipt;
    use super::{Shown, headers, json, text};

    #[tokio::test]
    async fn letter_says_why_it_is_one_and_where_it_came_from() {
        let registry = Registry::new("http://127.0.0.1:1").unwrap();
        let mut letter = letter(3, "in/1/17");
        letter.receipt = Some(Receipt {
            letter: "app-dlq/0/1".to_owned(),
            record: "in/1/9".to_owned(),
            exception: "app::Other".to_owned(),
            attempts: 4,
            redrives: 1,
        });
        let headers = headers(vec![("traceparent".to_owned(), b"00-1".to_vec())]);
        let value = Shown::of(Some(b"\xffnot avro"), &registry).await;
        insta::assert_snapshot!(text(&letter, &value, &headers), @r#"
        letter     app-dlq/0/3
        record     in/1/17 of 1970-01-01T00:00:00.500Z
        error      app::Error
        message    no such account
        place      app/decide
        tries      1, from 1970-01-01T00:00:01.000Z to 1970-01-01T00:00:01.000Z
        came back  redrive 1, 4 tries before; then app::Other of app-dlq/0/1
        key        "key"
        value      hex ff6e6f74206176726f
                   not framed Avro
        headers
            traceparent: "00-1"
        "#);
        let said = json(&letter, &value, &headers);
        assert_eq!(said["value"]["hex"], "ff6e6f74206176726f");
        assert_eq!(said["record"]["offset"], 17);
    }
}
