//! Input topics that are not what they were.

use anyhow::{Context as _, ensure};
use harness::{payments::PAYMENT_SCHEMA_ID, wait_until};

use super::case::{Case, DEADLINE};

/// What `/readyz` says of a partition that is not fetched any more.
const FULL: &str = "partitions that wait for room: 1";

#[tokio::test(flavor = "multi_thread")]
async fn records_that_retention_took_before_the_start_halt_it() -> anyhow::Result<()> {
    let mut case = Case::new("expired", 1).await?;
    let app = case.start(&[])?;
    case.send(100)?;
    case.wait_for_outputs(100).await?;
    app.stop().await?;
    case.send(100)?;
    case.kafka.delete_records("expired-in", 0, 150).await?;
    let words = [
        "offset 100 of `expired-in` partition 0 is committed, but the topic holds 150 to 200",
        "records were deleted before they were read",
        "set the group's offset to what you decide, then start again",
    ];
    case.start(&[])?.halts_with(&words).await?;
    ensure!(case.committed().await? == Some(100));

    case.set_committed(150).await?;
    let app = case.start(&[])?;
    case.wait_for_outputs(150).await?;
    case.judge(|number| !(100..150).contains(&number))?;
    app.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_retention_takes_from_a_running_application_halt_it() -> anyhow::Result<()> {
    let mut case = Case::new("overtaken", 1).await?;
    let app = case.start(&[])?;
    case.send(100)?;
    case.wait_for_outputs(100).await?;
    app.post("/pause").await?;
    case.send(9_900)?;
    wait_until("a full partition", DEADLINE, async || Ok(app.get("/readyz").await?.contains(FULL)))
        .await?;
    case.kafka.delete_records("overtaken-in", 0, 9_900).await?;
    app.post("/resume").await?;
    let words = [
        "to 9899 of `overtaken-in` partition 0 were deleted before they were read",
        "then start again with the group's offset at 9900",
    ];
    app.halts_with(&words).await?;
    // What was read before is done and committed, or will be done again: it is still asked for.
    let committed = case.committed().await?.context("it had committed")?;
    ensure!((100..9_900).contains(&committed), "{committed}");
    let done = usize::try_from(committed)?;
    case.wait_for_outputs(done).await?;
    case.judge(|number| number < done)?;

    case.set_committed(9_900).await?;
    let app = case.start(&[])?;
    case.wait_for_outputs(done + 100).await?;
    case.judge(|number| number < done || number >= 9_900)?;
    app.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn topic_made_anew_while_the_application_was_away_halts_it() -> anyhow::Result<()> {
    let mut case = Case::new("renewed", 1).await?;
    let app = case.start(&[])?;
    case.send(100)?;
    case.wait_for_outputs(100).await?;
    app.stop().await?;
    case.kafka.delete_topics(&["renewed-in"]).await?;
    case.kafka.create_topic("renewed-in", 1, &[]).await?;
    case.send(200)?;
    // The broker forgets what was committed of a topic that it deletes.
    wait_until("no committed offset", DEADLINE, async || Ok(case.committed().await?.is_none()))
        .await?;
    let words = ["up to offset 100, but group `renewed` has no committed offset", "begin anew"];
    case.start(&[])?.halts_with(&words).await?;
    case.judge(|number| number < 100)
}

#[tokio::test(flavor = "multi_thread")]
async fn topic_made_anew_under_a_running_application_halts_it() -> anyhow::Result<()> {
    for (name, count) in [("shorter", 50), ("longer", 300)] {
        let mut case = Case::new(name, 1).await?;
        let app = case.start(&[])?;
        case.send(100)?;
        case.wait_for_outputs(100).await?;
        case.wait_for_commit(100).await?;
        let topic = case.input();
        case.kafka.delete_topics(&[&topic]).await?;
        case.kafka.create_topic(&topic, 1, &[]).await?;
        case.send(count)?;
        app.halts_with(&["made anew"]).await?;
        case.read_outputs()?;
        let numbers = case.sums().iter().map(|(_, sum)| sum.id.clone()).take(100);
        let expected = (0..100).map(|number| format!("payment-{number}"));
        ensure!(numbers.eq(expected), "{:?}", case.sums());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn added_partitions_are_read_by_a_restart_within_its_session_and_halt_what_has_state()
-> anyhow::Result<()> {
    let mut case = Case::new("broadened", 1).await?;
    // Its session outlasts the test: it takes its place up again as it was, without a rebalance.
    let options = ["--ask", "--session-timeout-ms", "45000"];
    let app = case.start_bare("", &options)?;
    case.send(20)?;
    case.wait_for_outputs(20).await?;
    app.stop().await?;
    case.kafka.add_partitions("broadened-in", 2).await?;
    let bytes = case.bytes(PAYMENT_SCHEMA_ID, "of the new partition")?;
    wait_until("a leader of the new partition", DEADLINE, async || {
        Ok(case.kafka.partitions("broadened-in").await? == 2)
    })
    .await?;
    case.send_bytes(1, "account", &bytes)?;
    let app = case.start_bare("", &options)?;
    let mut stateful = Case::new("broadened-state", 1).await?;
    let summing = stateful.start(&["--session-timeout-ms", "45000"])?;
    stateful.send(20)?;
    stateful.wait_for_outputs(20).await?;
    stateful.kafka.add_partitions("broadened-state-in", 2).await?;

    case.wait_for_outputs(21).await?;
    app.says("nobody in the group reads these partitions").await?;
    ensure!(case.sums().last().is_some_and(|(_, sum)| sum.id == "of the new partition"));
    app.stop().await?;
    let words =
        ["-changelog` has 1 partitions, and partition 1 of the input is read", "begin anew"];
    summing.halts_with(&words).await?;
    stateful.judge_exact()
}

#[tokio::test(flavor = "multi_thread")]
async fn added_partitions_are_read_with_the_next_rebalance_and_refused_where_there_is_state()
-> anyhow::Result<()> {
    let mut case = Case::new("widened", 1).await?;
    let app = case.start_bare("", &["--ask"])?;
    case.send(20)?;
    case.wait_for_outputs(20).await?;
    app.stop().await?;
    case.kafka.add_partitions("widened-in", 2).await?;
    let bytes = case.bytes(PAYMENT_SCHEMA_ID, "of the new partition")?;
    wait_until("a leader of the new partition", DEADLINE, async || {
        Ok(case.kafka.partitions("widened-in").await? == 2)
    })
    .await?;
    case.send_bytes(1, "account", &bytes)?;
    // The same instance would take its place up again as it was, without a rebalance.
    let app = case.start_bare("", &["--ask", "--instance", "2"])?;
    case.wait_for_outputs(21).await?;
    ensure!(case.sums().last().is_some_and(|(_, sum)| sum.id == "of the new partition"));
    app.stop().await?;

    let mut case = Case::new("widened-state", 1).await?;
    let app = case.start(&[])?;
    case.send(20)?;
    case.wait_for_outputs(20).await?;
    app.stop().await?;
    case.kafka.add_partitions("widened-state-in", 2).await?;
    let words = [
        "-changelog` has 1 partitions on the cluster and `widened-state-in` has 2",
        "sub-topology `one` reads them together and needs equal counts",
        "begin anew (delete the state directory, the changelogs and the group's offsets",
    ];
    case.start(&[])?.halts_with(&words).await?;
    case.judge_exact()
}
