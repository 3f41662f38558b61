//! An app's offsets are set when it is stopped, and where they are back in front of its state, put back.
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use harness::{Pipeline, Setup, produce, read_all, wait_for};
use schemas::topics;
use serde_json::Value;

const APP: &str = "transaction-enricher";
const LETTERS: &str = "transaction-enricher-dlq";
const DEADLINE: Duration = Duration::from_mins(1);

/// `bankstream offsets set` for this partition of what the enricher reads.
async fn set(
    pipeline: &Pipeline,
    partition: i32,
    to: &str,
    more: &[&str],
) -> anyhow::Result<Output> {
    let mut command: Command = pipeline.bankstream()?;
    let partition = partition.to_string();
    let place = ["--topic", topics::WEBHOOKS_RECEIVED, "--partition", &partition, "--to", to];
    command.args(["offsets", "set", "--json", "--app", APP]).args(place).args(more);
    Ok(tokio::task::spawn_blocking(move || command.output()).await??)
}

/// The letters, once there are so many.
async fn letters(servers: &str, count: usize) -> anyhow::Result<()> {
    wait_for(&format!("{count} dead letters"), DEADLINE, async || {
        let found = read_all(servers, LETTERS).await?.len();
        ensure!(found <= count, "{found} dead letters of {count}");
        Ok((found == count).then_some(()))
    })
    .await
}

#[tokio::test]
async fn offsets_are_set_once_an_app_is_gone_and_state_that_is_ahead_halts_it() -> anyhow::Result<()>
{
    let mut pipeline = Pipeline::start("offsets", Setup::default()).await?;
    let servers = pipeline.platform.bootstrap_servers().to_owned();
    let (partition, offset) =
        produce(&servers, topics::WEBHOOKS_RECEIVED, "poison", b"\xffnot avro").await?;
    letters(&servers, 1).await?;

    let refused = set(&pipeline, partition, "earliest", &[]).await?;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure!(!refused.status.success() && said.contains("has members"), "{said}");
    let outside = set(&pipeline, partition, "1000000", &["--dry-run"]).await?;
    let said = String::from_utf8_lossy(&outside.stderr).into_owned();
    ensure!(!outside.status.success() && said.contains("1000000 is outside"), "{said}");

    pipeline.program(APP)?.kill().await?;
    set_once_free(&pipeline, partition, offset).await?;
    // What it remembers has seen the record already.
    let halted = pipeline.program(APP)?.start().await;
    let said = halted.err().map(|error| error.to_string()).unwrap_or_default();
    ensure!(said.contains("set back or deleted") && said.contains("put the offset back"), "{said}");

    set_once_free(&pipeline, partition, offset + 1).await?;
    pipeline.program(APP)?.start().await?;
    produce(&servers, topics::WEBHOOKS_RECEIVED, "poison", b"\xffnot avro either").await?;
    letters(&servers, 2).await?;
    pipeline.stop().await
}

/// Sets it when the app's session has ended: until then it may come back to its partitions.
async fn set_once_free(pipeline: &Pipeline, partition: i32, to: i64) -> anyhow::Result<()> {
    let answer: Value = wait_for("the offset is set", DEADLINE, async || {
        let output = set(pipeline, partition, &to.to_string(), &[]).await?;
        if output.status.success() {
            return Ok(Some(serde_json::from_slice(&output.stdout)?));
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(said.contains("has members"), "{said}");
        Ok(None)
    })
    .await?;
    let moved = answer["offsets"].as_array().and_then(|all| all.first()).context("one is set")?;
    ensure!(answer["set"] == true && answer["group"] == APP, "{answer}");
    ensure!(moved["partition"] == partition && moved["after"] == to, "{answer}");
    Ok(())
}
