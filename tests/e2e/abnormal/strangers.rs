//! Transactions of somebody else that stay open, on what a start waits for.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use harness::wait_until;
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    producer::{BaseProducer, BaseRecord, Producer as _},
};

use super::case::{Case, DEADLINE};

/// How long one call of a transaction may take.
const CALL: Duration = Duration::from_secs(20);

/// A producer whose transactions are open for as long as it likes, or for ten minutes.
fn stranger(case: &Case) -> anyhow::Result<BaseProducer> {
    let producer: BaseProducer = case
        .kafka
        .client()
        .set("transactional.id", format!("stranger-of-{}", case.name))
        .set("transaction.timeout.ms", "600000")
        .create()?;
    producer.init_transactions(CALL)?;
    producer.begin_transaction()?;
    Ok(producer)
}

#[tokio::test(flavor = "multi_thread")]
async fn restore_waits_for_what_is_committed_behind_an_open_transaction() -> anyhow::Result<()> {
    let mut case = Case::new("hidden", 1).await?;
    let app = case.start(&[])?;
    case.send(50)?;
    case.wait_for_outputs(50).await?;
    let stranger = stranger(&case)?;
    let record = BaseRecord::to("hidden-sums-changelog").partition(0).key("stranger").payload("1");
    stranger.send(record).map_err(|(error, _)| error)?;
    stranger.flush(CALL)?;
    case.send(50)?;
    case.wait_for_outputs(100).await?;
    app.stop().await?;
    let changelog = "hidden-sums-changelog";
    let (seen, whole) = (case.end(changelog, true).await?, case.end(changelog, false).await?);
    ensure!(seen + 50 < whole, "{seen} of {whole} are seen: the second fifty are hidden");

    std::fs::remove_dir_all(case.state_dir())?;
    let app = case.start(&[])?;
    app.says("the changelog is held up by an open transaction, which is waited for").await?;
    let words = format!("changelog `{changelog}` is held up at {seen} by an open transaction");
    wait_until("the reason at /readyz", DEADLINE, async || {
        Ok(app.get("/readyz").await?.contains(&words))
    })
    .await?;
    let ready = app.get("/readyz").await?;
    let left = format!("one partition 0: changes restored {}, offsets left", 100 + 50);
    ensure!(ready.contains(&left), "`{left}` is not in: {ready}");
    ensure!(app.get("/metrics").await?.contains("streams_restore_remaining_records{"));
    ensure!(case.read_outputs()?.len() == 100, "nothing is handled before its state is there");

    stranger.abort_transaction(CALL)?;
    case.send(50)?;
    case.wait_for_outputs(150).await?;
    case.judge_exact()?;
    case.wait_for_commit(150).await?;
    ensure!(case.end("hidden-dlq", false).await? == 0, "no dead letters");
    ensure!(!app.get("/metrics").await?.contains("streams_restore_remaining_records{"));
    app.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn start_waits_for_an_open_transaction_on_its_committed_offsets_and_says_so()
-> anyhow::Result<()> {
    let mut case = Case::new("undecided", 1).await?;
    let app = case.start(&[])?;
    case.send(50)?;
    case.wait_for_outputs(50).await?;
    app.stop().await?;
    ensure!(case.committed().await? == Some(50));
    let stranger = stranger(&case)?;
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(&case.input(), 0, Offset::Offset(7))?;
    let member: BaseConsumer = case.kafka.client().set("group.id", case.name).create()?;
    let group = member.group_metadata().context("the group's name")?;
    stranger.send_offsets_to_transaction(&offsets, &group, CALL)?;

    let app = case.start(&[])?;
    let words = "the committed offsets are held up by an open transaction";
    app.says(&format!("{words}, which is waited for")).await?;
    ensure!(app.log()?.contains("undecided-in"), "{}", app.log()?);
    let ready = app.get("/readyz").await?;
    let line =
        format!("one partition 0: changes restored 0, offsets left not known yet; waits: {words}");
    ensure!(ready.contains(&line), "`{line}` is not in: {ready}");
    case.send(50)?;

    stranger.abort_transaction(CALL)?;
    case.wait_for_outputs(100).await?;
    case.judge_exact()?;
    case.wait_for_commit(100).await?;
    ensure!(case.end("undecided-dlq", false).await? == 0, "no dead letters");
    app.stop().await
}
