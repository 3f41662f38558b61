//! Killed at any moment and started again: nothing is lost, and no effect happens twice.
use ctl::pipeline::PROCESSORS;
use harness::{Pipeline, Setup, Sink, Size};

/// Events between two kills, so that each hits a stream and not a silence.
const EVENTS_BETWEEN: u64 = 15;

/// Rules that post to the network, so that there are effects to count.
const SOCIAL_RULES: &str = r#"
[rules.out]
template = "Spent {amount} on {date}."
network = "mastodon"
sign = "out"
on = "held"

[rules.in]
template = "Earned {amount} on {date}."
network = "mastodon"
"#;

#[tokio::test]
async fn nothing_is_lost_and_no_effect_is_doubled_by_kill_9() -> anyhow::Result<()> {
    let size = Size::of_this_run();
    let sink = Sink::start().await?;
    let rules = tempfile::NamedTempFile::new()?;
    std::fs::write(rules.path(), SOCIAL_RULES)?;
    let env = [
        ("COIN_HOOK_URL", sink.url("/hook")),
        ("COIN_HOOK_SECRET", "hook-secret-of-a-test".to_owned()),
        ("MASTODON_URL", sink.url("")),
        ("MASTODON_TOKEN", "token-of-a-test".to_owned()),
        ("SOCIAL_RULES", rules.path().display().to_string()),
    ];
    let faults = ["--fault-duplicate-percent", "10", "--fault-reorder-percent", "10"];
    let setup = Setup {
        bank_flags: faults.map(str::to_owned).into(),
        processor_env: env.map(|(name, value)| (name.to_owned(), value)).into(),
    };
    let mut pipeline = Pipeline::start("kill9", setup).await?;

    // Longer than all kills take; it is stopped after the last.
    pipeline.bank.run_day(size.rate, 3_600).await?;
    for _ in 0..size.rounds {
        for app in PROCESSORS.into_iter().chain(["ingress"]) {
            pipeline.progress(EVENTS_BETWEEN).await?;
            let program = pipeline.program(app)?;
            program.kill().await?;
            program.start().await?;
        }
    }
    pipeline.progress(EVENTS_BETWEEN).await?;
    pipeline.bank.stop_day().await?;

    let summary = pipeline.at_rest(None).await?;
    assert_eq!(summary.findings, Vec::<String>::new(), "{summary:#?}");
    let totals = pipeline.watch.totals();

    let hooks = sink.keys("/hook", |body| body["id"].to_string());
    assert!(hooks.len() >= totals.fired.len(), "{} hooks, {totals:?}", hooks.len());
    for (trigger, keys) in &hooks {
        assert_eq!(keys.len(), 1, "{trigger} happened more than once");
    }
    // A post's text may repeat, its key may not: one key per post.
    let posts = sink.keys("/api/v1/statuses", |_| "all".to_owned());
    let posts = posts.values().map(std::collections::BTreeSet::len).sum::<usize>();
    let published = totals.published.values().filter(|outcome| *outcome == "published").count();
    assert_eq!(posts, published, "posts on the network, and posts known to be published");
    assert!(published > 0, "nothing was posted: {totals:?}");
    pipeline.stop().await
}
