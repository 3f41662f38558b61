//! Records in flight: one that does not end, and how many there may be.

use std::collections::BTreeMap;

use anyhow::ensure;
use harness::wait_until;

use super::case::{ACCOUNTS, App, Case, DEADLINE};

/// How far above the committed offset finished records are remembered.
const FINISHED_AHEAD_MAX: usize = 16_384;

/// What `/readyz` says of a partition that is not fetched any more.
const FULL: &str = "partitions that wait for room: 1";

/// The first payment's account is slow, all others are not.
fn account(number: usize) -> String {
    if number == 0 { "slow".to_owned() } else { format!("account-{}", number % ACCOUNTS) }
}

async fn wait_for_cap(app: &App) -> anyhow::Result<()> {
    app.says("listening on").await?;
    wait_until("a full partition", DEADLINE, async || Ok(app.get("/readyz").await?.contains(FULL)))
        .await
}

/// One output of each of these payments, in the order of their accounts.
fn judge(case: &Case, numbers: std::ops::Range<usize>) -> anyhow::Result<()> {
    let mut found: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (account, sum) in case.sums() {
        found.entry(account).or_default().push(&sum.id);
    }
    let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for number in numbers {
        expected.entry(account(number)).or_default().push(format!("payment-{number}"));
    }
    for (account, expected) in expected {
        let found = found.remove(&*account).unwrap_or_default();
        let place = found.iter().zip(&expected).position(|(found, expected)| *found != expected);
        ensure!(
            found.len() == expected.len() && place.is_none(),
            "{account}: {} outputs of {}, others than expected from place {place:?} on",
            found.len(),
            expected.len(),
        );
    }
    ensure!(found.is_empty(), "outputs nobody asked for: {found:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn partition_pauses_at_the_cap_and_a_crash_there_repeats_nothing() -> anyhow::Result<()> {
    let mut case = Case::new("capped", 1).await?;
    let app = case.start_bare("", &["--ask"])?;
    case.send_to(20_000, account)?;
    wait_for_cap(&app).await?;
    case.wait_for_outputs(FINISHED_AHEAD_MAX - 1).await?;
    case.wait_for_commit(0).await?;
    judge(&case, 1..FINISHED_AHEAD_MAX)?;
    app.kill()?;

    let app = case.start_bare("", &["--ask"])?;
    wait_for_cap(&app).await?;
    ensure!(case.committed().await? == Some(0), "the slow one is not done");
    judge(&case, 1..FINISHED_AHEAD_MAX)?;
    std::fs::write(case.dir.join("gate"), "")?;
    case.wait_for_outputs(20_000).await?;
    case.wait_for_commit(20_000).await?;
    case.read_outputs()?;
    judge(&case, 0..20_000)?;
    app.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn record_that_blocks_a_full_partition_goes_to_the_dead_letters_and_the_rest_goes_on()
-> anyhow::Result<()> {
    let mut case = Case::new("blocked", 1).await?;
    let app = case.start_bare("", &["--ask", "--max-block-ms", "500"])?;
    case.send_to(17_000, account)?;
    case.wait_for_outputs(16_999).await?;
    case.wait_for_commit(17_000).await?;
    case.read_outputs()?;
    judge(&case, 1..17_000)?;
    let letters = case.dead_letters(1).await?;
    ensure!(letters.len() == 1, "{letters:?}");
    let letter = &letters[0];
    ensure!(letter.key == "slow" && letter.exception == "streams::Blocked", "{letter:?}");
    ensure!(letter.message.contains("`max_block` of its processor"), "{letter:?}");
    app.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_keep_to_the_limits_of_process_and_host() -> anyhow::Result<()> {
    let mut case = Case::new("limited", 2).await?;
    let options = [["--calls-in-flight", "5"], ["--per-host", "2"]].concat();
    let app = case.start_bare("", &[&["--ask"][..], &options].concat())?;
    case.send_to(200, |number| format!("host-{}/{number}", number % 4))?;
    case.wait_for_outputs(200).await?;
    let most = |count: fn(&harness::payments::Sum) -> i64| {
        case.sums().iter().map(|(_, sum)| count(sum)).max()
    };
    // Reached, too: the limits are what held them.
    ensure!(most(|sum| sum.total) == Some(5), "{:?} calls of the process", most(|sum| sum.total));
    let host = most(|sum| sum.sequence);
    ensure!(host == Some(2), "{host:?} calls of a host");
    app.stop().await
}
