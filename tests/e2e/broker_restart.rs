//! Kafka goes and comes back under load, by a crash and in order: what was answered 200 is on the topic,
//! all else got 503, no decision is there twice, and whoever watches the topic goes on watching.
mod follower;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use follower::Follower;
use harness::{Load, Pipeline, Setup, Size, wait_until};
use reqwest::StatusCode;
use schemas::topics;
use tokio::task::JoinSet;

/// Requests at the same time.
const SENDERS: usize = 8;
/// Answers of one kind before the next step.
const ANSWERS: usize = 60;
/// Refusals before Kafka comes back from a crash. The ingress takes ten seconds for each, so this
/// outage is longer than the ten seconds after which a group gives up a silent member.
const REFUSALS: usize = 3 * SENDERS;
/// What the bank does while Kafka goes in order, in steps a second and seconds, and how much of it is
/// enriched before that.
const DAY: (u32, u64) = (15, 4);
const EVENTS_BEFORE: u64 = 15;
/// Longer than the ingress waits for Kafka, several times.
const DEADLINE: Duration = Duration::from_secs(90);

/// What the senders share.
#[derive(Debug, Default)]
struct Score {
    accepted: AtomicUsize,
    unavailable: AtomicUsize,
    stop: AtomicBool,
}

type Answers = Vec<(String, StatusCode)>;

async fn send_until_told(load: Load, score: Arc<Score>) -> anyhow::Result<Answers> {
    let mut answers = Vec::new();
    while !score.stop.load(Ordering::Relaxed) {
        let (id, status) = load.send().await?;
        let counter = if status == StatusCode::OK { &score.accepted } else { &score.unavailable };
        counter.fetch_add(1, Ordering::Relaxed);
        answers.push((id, status));
        // A provider does not send without pause, and the test's machine is small.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(answers)
}

async fn grows(what: &str, counter: &AtomicUsize, by: usize) -> anyhow::Result<()> {
    let goal = counter.load(Ordering::Relaxed) + by;
    wait_until(what, DEADLINE, async || Ok(counter.load(Ordering::Relaxed) >= goal)).await
}

/// Kafka is killed under all programs.
async fn crash(pipeline: &mut Pipeline, score: &Score) -> anyhow::Result<()> {
    let kafka = pipeline.platform.kafka().context("no local Kafka")?;
    kafka.kill().await?;
    grows("refused webhooks", &score.unavailable, REFUSALS).await?;
    let (status, text) = readiness(pipeline).await?;
    ensure!(status == StatusCode::SERVICE_UNAVAILABLE, "/readyz: {status} {text}");
    ensure!(text.contains("Kafka, which has not acknowledged anything"), "/readyz: {text}");
    let kafka = pipeline.platform.kafka().context("no local Kafka")?;
    Ok(kafka.start().await?)
}

/// What the ingress says of itself.
async fn readiness(pipeline: &Pipeline) -> anyhow::Result<(StatusCode, String)> {
    let answer = reqwest::get(pipeline.ingress.url("/readyz")).await?;
    Ok((answer.status(), answer.text().await?))
}

/// Kafka stops in order, as for an upgrade: those who write in transactions first. A broker that stops
/// as the only one may call a transaction complete without having written its markers, and whoever waits
/// for them then waits without end (`docs/OPERATIONS.md`, a transaction is open).
async fn stop_in_order(pipeline: &mut Pipeline, score: &Score) -> anyhow::Result<()> {
    pipeline.bank.run_day(DAY.0, DAY.1).await?;
    let goal = pipeline.watch.totals().enriched + EVENTS_BEFORE;
    wait_until("events of the bank", DEADLINE, async || {
        Ok(pipeline.watch.totals().enriched >= goal)
    })
    .await?;
    for processor in &mut pipeline.processors {
        let ended = processor.terminate().await?;
        ensure!(ended.is_some_and(|status| status.success()), "it ended with {ended:?}");
    }
    let kafka = pipeline.platform.kafka().context("no local Kafka")?;
    kafka.stop().await?;
    grows("refused webhooks", &score.unavailable, SENDERS).await?;
    let kafka = pipeline.platform.kafka().context("no local Kafka")?;
    kafka.start().await?;
    for processor in &mut pipeline.processors {
        processor.spawn()?;
    }
    for processor in &mut pipeline.processors {
        processor.until_ready().await?;
    }
    Ok(())
}

#[tokio::test]
async fn every_accepted_webhook_is_on_the_topic_when_kafka_comes_back() -> anyhow::Result<()> {
    let mut pipeline = Pipeline::start("broker_restart", Setup::default()).await?;
    let load = Load::new(pipeline.ingress.url("/webhooks/up"), pipeline.webhook_secret()?)?;
    let score = Arc::new(Score::default());
    let mut senders = JoinSet::new();
    for _ in 0..SENDERS {
        senders.spawn(send_until_told(load.clone(), Arc::clone(&score)));
    }
    let mut follower = Follower::start(&pipeline, topics::WEBHOOKS_RECEIVED)?;
    for _ in 0..Size::of_this_run().rounds {
        grows("accepted webhooks", &score.accepted, ANSWERS).await?;
        follower.shows_more(DEADLINE).await?;
        crash(&mut pipeline, &score).await?;
        grows("accepted webhooks after the crash", &score.accepted, ANSWERS).await?;
        let (status, text) = readiness(&pipeline).await?;
        ensure!(status == StatusCode::OK, "/readyz: {status} {text}");
        follower.shows_more(DEADLINE).await?;
        stop_in_order(&mut pipeline, &score).await?;
        grows("accepted webhooks after the stop", &score.accepted, ANSWERS).await?;
        follower.shows_more(DEADLINE).await?;
    }
    score.stop.store(true, Ordering::Relaxed);
    let mut answers = Vec::new();
    while let Some(sender) = senders.join_next().await {
        answers.extend(sender??);
    }

    let others: Vec<_> = answers
        .iter()
        .filter(|(_, status)| ![StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE].contains(status))
        .collect();
    assert!(others.is_empty(), "neither accepted nor to be sent again: {others:?}");
    let accepted: Vec<_> =
        answers.iter().filter(|(_, status)| *status == StatusCode::OK).map(|(id, _)| id).collect();
    wait_until("every accepted webhook on the topic", DEADLINE, async || {
        let totals = pipeline.watch.totals();
        Ok(accepted.iter().all(|id| totals.events.contains(*id)))
    })
    .await?;
    // And the processors go on, too.
    pipeline.bank.run_day(DAY.0, DAY.1).await?;
    let summary = pipeline.at_rest(None).await?;
    assert!(summary.accounts.iter().all(|account| account.unexplained == 0), "{summary:#?}");
    assert!(summary.events > 0 && summary.enriched > 0, "the bank did nothing: {summary:#?}");
    assert_eq!((summary.lag, summary.dead_letters), (0, 0), "{summary:#?}");
    let totals = pipeline.watch.totals();
    assert_eq!(totals.repeated(), Vec::<&str>::new(), "decisions that are there twice");
    pipeline.stop().await
}
