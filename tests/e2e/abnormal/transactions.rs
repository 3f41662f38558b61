//! A process that hangs in the middle of its transaction.

use anyhow::ensure;
use harness::wait_until;

use super::case::{App, Case, DEADLINE};

/// Stops the process while its transaction is open.
async fn hang(case: &mut Case, app: &App) -> anyhow::Result<()> {
    wait_until("a process that hangs in its transaction", DEADLINE, async || {
        case.send(20)?;
        wait_until("an open transaction", DEADLINE, async || is_open(case).await).await?;
        app.signal("-STOP")?;
        let is_in_it = is_open(case).await?;
        if !is_in_it {
            app.signal("-CONT")?;
        }
        Ok(is_in_it)
    })
    .await
}

/// Whether there are outputs that are not decided.
async fn is_open(case: &Case) -> anyhow::Result<bool> {
    let topic = format!("{}-out", case.name);
    let end = case.end(&topic, false).await?;
    Ok(case.end(&topic, true).await? < end)
}

#[tokio::test(flavor = "multi_thread")]
async fn transaction_that_the_broker_gave_up_is_made_again_by_a_new_thread() -> anyhow::Result<()> {
    let mut case = Case::new("overdue", 1).await?;
    // Its session is longer than its transaction: nobody else takes its partition.
    let options = [
        ["--commit-interval-ms", "1500"],
        ["--transaction-timeout-ms", "3000"],
        ["--session-timeout-ms", "45000"],
    ];
    let app = case.start(&options.concat())?;
    case.send(50)?;
    case.wait_for_outputs(50).await?;
    hang(&mut case, &app).await?;
    // The broker looks for such transactions every ten seconds.
    wait_until("an abort by the broker", DEADLINE, async || Ok(!is_open(&case).await?)).await?;
    let before = case.read_outputs()?.len();
    app.signal("-CONT")?;
    app.says("beginning again from what is committed").await?;
    case.send(50)?;
    let sent = case.sent();
    ensure!(before < sent - 50, "the transaction that was given up had outputs");
    case.wait_for_outputs(sent).await?;
    case.judge_exact()?;
    app.stop().await
}
