//! A dead letter is sent again once, as it was, and comes back with its history.
use std::time::Duration;

use harness::{Consumed, Pipeline, Setup, answer, produce, read_all, wait_for};
use schemas::topics;
use serde_json::Value;

const APP: &str = "transaction-enricher";
const LETTERS: &str = "transaction-enricher-dlq";
const DEADLINE: Duration = Duration::from_mins(1);
const RECEIPT: &str = "__streams.redriven";

/// Runs `bankstream dlq` beside the pipeline; gives its answer and its exit code.
async fn dlq(pipeline: &Pipeline, arguments: &[&str]) -> anyhow::Result<(Value, i32)> {
    let mut command = pipeline.bankstream()?;
    command.arg("dlq").args(arguments);
    // its lock is this test's own
    let dir = tempfile::tempdir()?;
    command.arg("--dir").arg(dir.path());
    answer(command).await
}

/// The letter behind the first `known`.
async fn next_letter(servers: &str, known: usize) -> anyhow::Result<Consumed> {
    wait_for("another dead letter", DEADLINE, async || {
        let mut letters = read_all(servers, LETTERS).await?;
        letters.sort_by_key(|letter| letter.offset);
        Ok(letters.get(known).cloned())
    })
    .await
}

#[tokio::test]
async fn letter_is_redriven_once_by_force_and_comes_back_with_its_history() -> anyhow::Result<()> {
    let pipeline = Pipeline::start("redrive", Setup::default()).await?;
    let servers = pipeline.platform.bootstrap_servers().to_owned();
    let poison = b"\xffnot avro";
    let (partition, offset) =
        produce(&servers, topics::WEBHOOKS_RECEIVED, "poison", poison).await?;
    let first = next_letter(&servers, 0).await?;
    let place = format!("{}/{}", first.partition, first.offset);

    let (shown, code) = dlq(&pipeline, &["show", APP, &place]).await?;
    assert_eq!(code, 0);
    assert_eq!(shown["value"]["hex"], "ff6e6f74206176726f");
    assert_eq!(shown["record"]["offset"], offset);

    // It must fail again, so it is refused; without --yes nothing is sent; --dry-run is no failure.
    let verdict = |answer: &Value| answer["plan"]["letters"][0]["verdict"].clone();
    let (answer, code) = dlq(&pipeline, &["redrive", "--yes"]).await?;
    assert_eq!((verdict(&answer), &answer["sent"], code), ("same_bytes".into(), &0.into(), 1));
    let (answer, code) = dlq(&pipeline, &["redrive", "--force"]).await?;
    assert_eq!((verdict(&answer), &answer["sent"], code), ("send".into(), &0.into(), 1));
    let (answer, code) = dlq(&pipeline, &["redrive", "--force", "--dry-run"]).await?;
    assert_eq!((verdict(&answer), &answer["sent"], code), ("send".into(), &0.into(), 0));
    let (answer, code) = dlq(&pipeline, &["redrive", "--force", "--yes"]).await?;
    assert_eq!((verdict(&answer), &answer["sent"], code), ("send".into(), &1.into(), 0));

    // It comes back, from the same partition, with the same bytes and key, and says what it was.
    let second = next_letter(&servers, 1).await?;
    assert_eq!(second.value.as_deref(), Some(poison.as_slice()));
    assert_eq!(second.partition, first.partition, "the key is the same");
    let header = |name: &str| {
        let value = second.headers.get(name).map(|value| String::from_utf8_lossy(value));
        value.unwrap_or_default().into_owned()
    };
    assert_eq!(header("__streams.errors.partition"), partition.to_string());
    let receipt: Value = serde_json::from_str(&header(RECEIPT))?;
    assert_eq!(receipt["letter"], format!("{LETTERS}/{place}"));
    assert_eq!((&receipt["attempts"], &receipt["redrives"]), (&1.into(), &1.into()));

    // The first is not sent again, forced or not; a letter that came back is told from a new one.
    let one = ["redrive", "--app", APP, "--letter", &place, "--force", "--yes"];
    let (answer, code) = dlq(&pipeline, &one).await?;
    assert_eq!((verdict(&answer), &answer["sent"], code), ("redriven".into(), &0.into(), 0));
    let (answer, _) = dlq(&pipeline, &["list", "--redriven", "--app", APP]).await?;
    let row = &answer["dead_letters"][0];
    assert_eq!(
        (&row["letters"], &row["redriven"], &row["came_back"]),
        (&2.into(), &1.into(), &1.into())
    );
    let raw = read_all(&servers, topics::WEBHOOKS_RECEIVED).await?;
    let of_poison = raw.iter().filter(|record| record.value.as_deref() == Some(poison.as_slice()));
    assert_eq!(of_poison.count(), 2, "as it came, and once more");
    pipeline.stop().await
}
