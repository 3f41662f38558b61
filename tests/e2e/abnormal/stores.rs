//! State that does not fit the committed offset or its changelog.

use anyhow::ensure;
use streams::admin::Admin;

use super::case::Case;

#[tokio::test(flavor = "multi_thread")]
async fn state_ahead_of_the_committed_offset_halts_until_the_offset_is_put_back()
-> anyhow::Result<()> {
    let mut case = Case::new("ahead", 1).await?;
    let app = case.start(&[])?;
    case.send(100)?;
    case.wait_for_outputs(100).await?;
    app.stop().await?;
    ensure!(case.committed().await? == Some(100));
    case.set_committed(50).await?;
    let words = [
        "the state directory reflects `ahead-in` partition 0 up to offset 100",
        "group `ahead` has committed 50: the group's offset was set back",
        "or put the offset back",
    ];
    case.start(&[])?.halts_with(&words).await?;
    ensure!(case.committed().await? == Some(50), "a halt commits nothing");

    case.set_committed(100).await?;
    let app = case.start(&[])?;
    case.send(50)?;
    case.wait_for_outputs(150).await?;
    case.judge_exact()?;
    app.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn state_without_a_committed_offset_halts_until_all_of_it_begins_anew() -> anyhow::Result<()>
{
    let mut case = Case::new("offsetless", 1).await?;
    let app = case.start(&[])?;
    case.send(100)?;
    case.wait_for_outputs(100).await?;
    app.stop().await?;
    case.delete_group().await?;
    let words = ["up to offset 100, but group `offsetless` has no committed offset", "begin anew"];
    case.start(&[])?.halts_with(&words).await?;

    // The changelogs alone are state as well.
    std::fs::remove_dir_all(case.state_dir())?;
    let words = [
        "-changelog` partition 0 holds state but group `offsetless` has no committed offset",
        "or delete the changelog and run `bankstream topology apply`",
    ];
    case.start(&[])?.halts_with(&words).await?;

    case.kafka.delete_topics(&["offsetless-seen-changelog", "offsetless-sums-changelog"]).await?;
    std::fs::remove_dir_all(case.state_dir())?;
    let app = case.start(&[])?;
    case.wait_for_outputs(200).await?;
    let (first, second) = case.sums().split_at(100);
    ensure!(first == second, "the same from the beginning: {second:?}");
    app.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn changelog_that_lost_what_the_directory_has_halts() -> anyhow::Result<()> {
    let mut case = Case::new("lost-changelog", 1).await?;
    let app = case.start(&[])?;
    case.send(100)?;
    case.wait_for_outputs(100).await?;
    app.stop().await?;
    case.kafka
        .delete_topics(&["lost-changelog-seen-changelog", "lost-changelog-sums-changelog"])
        .await?;
    let words = [
        "-changelog` partition 0 ends at 0, but the state directory has it up to",
        "the changelog was made anew or has lost its end",
        "begin anew",
    ];
    case.start(&[])?.halts_with(&words).await?;
    case.read_outputs()?;
    ensure!(case.committed().await? == Some(100));
    // The only copy of the state is where it was.
    ensure!(case.aside("stale")?.is_empty());
    case.judge_exact()
}

#[tokio::test(flavor = "multi_thread")]
async fn directory_from_before_the_changelog_begins_is_set_aside_and_restored() -> anyhow::Result<()>
{
    let mut case = Case::new("trimmed", 1).await?;
    let app = case.start(&[])?;
    case.send(50)?;
    case.wait_for_outputs(50).await?;
    app.stop().await?;
    let old = case.dir.join("old");
    std::fs::rename(case.state_dir(), &old)?;
    let app = case.start(&[])?;
    case.send(100)?;
    case.wait_for_outputs(150).await?;
    app.stop().await?;
    std::fs::remove_dir_all(case.state_dir())?;
    std::fs::rename(&old, case.state_dir())?;
    // What is left of the changelog has every account.
    let changelog = "trimmed-sums-changelog";
    let admin = Admin::new(case.kafka.bootstrap_servers())?;
    admin.alter_settings(changelog, &[("cleanup.policy", "compact,delete")], false).await?;
    let end = case.end(changelog, true).await?;
    case.kafka.delete_records(changelog, 0, end - 40).await?;

    let app = case.start(&[])?;
    case.send(50)?;
    case.wait_for_outputs(200).await?;
    case.judge_exact()?;
    ensure!(app.log()?.contains("changelog `trimmed-sums-changelog` begins at"), "{}", app.log()?);
    ensure!(case.aside("stale")?.len() == 1);
    app.stop().await
}
