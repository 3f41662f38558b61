//! A transaction whose marker a broker passed over is found, and ended as it was decided.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, ensure};
use harness::{Kafka, answer, read_all};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::Value;

const TIMEOUT: Duration = Duration::from_secs(20);

fn producer(kafka: &Kafka, id: &str) -> anyhow::Result<BaseProducer> {
    let mut client = kafka.client();
    // longer than the test
    client.set("transactional.id", id).set("transaction.timeout.ms", "900000");
    let producer: BaseProducer = client.create()?;
    producer.init_transactions(TIMEOUT)?;
    Ok(producer)
}

/// Begins a transaction with `count` records on the topic.
fn begin(producer: &BaseProducer, topic: &str, count: usize) -> anyhow::Result<()> {
    producer.begin_transaction()?;
    for _ in 0..count {
        let record = BaseRecord::<(), str>::to(topic).payload("a payment");
        producer.send(record).map_err(|(error, _)| error)?;
    }
    Ok(producer.flush(TIMEOUT)?)
}

/// Takes the last batch, a marker, from the only partition of a topic: as if the coordinator had never
/// sent it.
fn cut_marker(data: &Path, topic: &str) -> anyhow::Result<()> {
    const CONTROL: u8 = 0b10_0000;
    let dir = data.join(format!("{topic}-0"));
    let path = dir.join("00000000000000000000.log");
    let log = std::fs::read(&path)?;
    // a batch: offset of eight bytes, length of what follows of four; attributes from byte 21
    let (mut last, mut next) = (0, 0);
    while next < log.len() {
        last = next;
        let length = log.get(last + 8..last + 12).context("a batch has its length")?;
        next += 12 + usize::try_from(u32::from_be_bytes(length.try_into()?))?;
    }
    ensure!(log.get(last + 22).is_some_and(|bits| bits & CONTROL != 0), "the last is a marker");
    std::fs::File::options().write(true).open(&path)?.set_len(u64::try_from(last)?)?;
    // what the broker noted of its producers; it reads the log again without
    for entry in std::fs::read_dir(&dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "snapshot") {
            std::fs::remove_file(path)?;
        }
    }
    Ok(())
}

async fn transactions(kafka: &Kafka, arguments: &[&str]) -> anyhow::Result<(Value, i32)> {
    let mut command = kafka.bankstream()?;
    command.arg("transactions").args(arguments);
    answer(command).await
}

/// Topic, state and outcome of each.
fn states(answer: &Value) -> Vec<String> {
    let rows = answer["transactions"].as_array().cloned().unwrap_or_default();
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or("-").to_owned();
    let row = |row: &Value| ["topic", "state", "outcome"].map(|name| text(row, name)).join(" ");
    rows.iter().map(row).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_whose_marker_is_lost_is_ended_as_it_was_decided() -> anyhow::Result<()> {
    let mut kafka = Kafka::start("hanging").await?;
    for topic in ["kept", "moved", "undone", "working"] {
        kafka.create_topic(topic, 1, &[]).await?;
    }
    let mover = producer(&kafka, "mover")?;
    begin(&mover, "moved", 3)?;
    mover.send(BaseRecord::<(), str>::to("kept").payload("x")).map_err(|(error, _)| error)?;
    mover.commit_transaction(TIMEOUT)?;
    let undoer = producer(&kafka, "undoer")?;
    begin(&undoer, "undone", 2)?;
    undoer.abort_transaction(TIMEOUT)?;
    ensure!(transactions(&kafka, &["list"]).await?.1 == 0, "all have ended");

    kafka
        .kill_damage_and_start(|data| {
            cut_marker(data, "moved")?;
            cut_marker(data, "undone")
        })
        .await?;
    let worker = producer(&kafka, "worker")?;
    begin(&worker, "working", 1)?;
    // The producer is at work again, elsewhere, and the transaction before still hangs.
    begin(&mover, "kept", 1)?;
    mover.commit_transaction(TIMEOUT)?;
    let readable = async |topic: &str| -> anyhow::Result<usize> {
        Ok(read_all(kafka.bootstrap_servers(), topic).await?.len())
    };
    ensure!(readable("moved").await? == 0, "committed, and held up");
    ensure!(readable("kept").await? == 2, "its marker came");

    let hanging = ["moved hanging commit", "undone hanging abort", "working ongoing -"];
    let (shown, code) = transactions(&kafka, &["list"]).await?;
    ensure!(
        (states(&shown).as_slice(), code) == (hanging.map(str::to_owned).as_slice(), 1),
        "{shown}"
    );
    let (shown, code) = transactions(&kafka, &["list", "--topic", "working"]).await?;
    ensure!((states(&shown).len(), code) == (1, 0), "at work is no fault: {shown}");
    let (shown, code) = transactions(&kafka, &["end"]).await?;
    ensure!((&shown["ended"], code) == (&0.into(), 1), "only shown: {shown}");
    ensure!(readable("moved").await? == 0, "nothing was done");

    let (shown, code) = transactions(&kafka, &["end", "--abort-unknown", "--yes"]).await?;
    ensure!((&shown["ended"], code) == (&2.into(), 0), "{shown}");
    let (shown, code) = transactions(&kafka, &["list"]).await?;
    ensure!(states(&shown) == ["working ongoing -"] && code == 0, "{shown}");
    ensure!(readable("moved").await? == 3, "as it was decided");
    ensure!(readable("undone").await? == 0, "as it was decided");
    ensure!(readable("working").await? == 0, "left alone");
    worker.commit_transaction(TIMEOUT)?;
    ensure!(readable("working").await? == 1, "and ended by whom it belongs to");
    begin(&undoer, "undone", 1)?;
    undoer.commit_transaction(TIMEOUT)?;
    ensure!(readable("undone").await? == 1, "what is committed behind it is there");
    kafka.stop().await
}
