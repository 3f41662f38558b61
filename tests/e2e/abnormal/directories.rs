//! State directories that cannot be read, had or written.

use anyhow::{Context as _, ensure};
use harness::wait_until;

use super::case::{Case, DEADLINE};

#[tokio::test(flavor = "multi_thread")]
async fn damaged_state_is_set_aside_and_comes_back_from_the_changelogs() -> anyhow::Result<()> {
    let mut case = Case::new("damaged", 1).await?;
    let app = case.start(&[])?;
    case.send(200)?;
    case.wait_for_outputs(200).await?;
    app.stop().await?;
    let log = case.task_dir().join("00000000000000000000.log");
    let mut bytes = std::fs::read(&log)?;
    let middle = bytes.len() / 2;
    *bytes.get_mut(middle).context("a log")? ^= 0x10;
    std::fs::write(&log, bytes)?;

    let app = case.start(&[])?;
    case.send(50)?;
    case.wait_for_outputs(250).await?;
    case.judge_exact()?;
    let said = app.log()?;
    ensure!(said.contains("state set aside: restoring from the changelogs"), "{said}");
    ensure!(case.aside("corrupt")?.len() == 1);
    app.stop().await?;
    // And what was restored is good.
    let app = case.start(&[])?;
    case.send(50)?;
    case.wait_for_outputs(300).await?;
    case.judge_exact()?;
    ensure!(case.aside("corrupt")?.len() == 1);
    app.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn directory_of_a_process_that_hangs_is_refused_until_that_is_gone() -> anyhow::Result<()> {
    let mut case = Case::new("hanging", 1).await?;
    let hanging = case.start(&[])?;
    case.send(100)?;
    case.wait_for_outputs(100).await?;
    hanging.signal("-STOP")?;
    // Its session ends and the group gives its partition to the other, which shares its disk.
    let in_use = format!("is in use by process {}: stop it, or give this one", hanging.id());
    case.start(&["--instance", "2"])?.halts_with(&[&in_use]).await?;
    hanging.kill()?;
    let app = case.start(&["--instance", "2"])?;
    case.send(50)?;
    case.wait_for_outputs(150).await?;
    case.judge_exact()?;
    app.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn full_disk_costs_a_longer_restart_and_no_output() -> anyhow::Result<()> {
    const FAILED: &str = "streams_store_write_errors_total{application_id=\"full\"} ";
    let mut case = Case::new("full", 1).await?;
    let state = case.state_dir();
    let options = ["--state-dir", state.to_str().context("a path in UTF-8")?];
    // Without the signal, a write beyond the limit fails as one on a full disk does: in its middle.
    let app = case.start_bare("trap '' XFSZ; ulimit -f 64;", &options)?;
    case.send(2_000)?;
    case.wait_for_outputs(2_000).await?;
    wait_until("a directory that is given up", DEADLINE, async || {
        let metrics = app.get("/metrics").await?;
        let failed = metrics.lines().find_map(|line| line.strip_prefix(FAILED));
        Ok(failed.context("the metric")?.parse::<u32>()? == 1)
    })
    .await?;
    case.send(100)?;
    case.wait_for_outputs(2_100).await?;
    let said = app.log()?;
    ensure!(said.contains("a state directory cannot be written (is the disk full?)"), "{said}");
    app.kill()?;

    let app = case.start(&[])?;
    case.send(100)?;
    case.wait_for_outputs(2_200).await?;
    case.judge_exact()?;
    ensure!(case.aside("")?.is_empty(), "what was written before is good");
    app.stop().await
}
