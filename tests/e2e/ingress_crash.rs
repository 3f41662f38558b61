//! The ingress or Kafka killed under load: what was accepted is held against the topic, event by event.
use std::time::Duration;

use anyhow::Context as _;
use harness::{Audit, Delivery, Doors, Provider, Size, wait_until};
use reqwest::StatusCode;

const SECRET: &str = "secret-of-a-test";
/// Requests at the same time.
const SENDERS: usize = 8;
/// Events taken between two steps, so that each happens in a stream and not in a silence.
const EVENTS_BETWEEN: usize = 150;
/// Answers of 503 before Kafka comes back.
const REFUSALS: usize = 2 * SENDERS;
const DEADLINE: Duration = Duration::from_secs(40);

async fn goes_on(provider: &Provider) -> anyhow::Result<()> {
    let goal = provider.taken() + EVENTS_BETWEEN;
    wait_until("more events", DEADLINE, async || Ok(provider.taken() >= goal)).await
}

/// Everything accepted is on the topic; what is there twice was counted by the reader of the topic.
async fn check(doors: Doors, deliveries: &[Delivery]) -> anyhow::Result<()> {
    let audit = Audit::of(&doors.raw().await?, deliveries);
    assert!(audit.agrees(), "{audit:#?}");
    wait_until("every second copy counted", DEADLINE, async || {
        let copies = doors.replicas[0].metric("webhook_raw_duplicates_total").await?;
        Ok(copies >= audit.second_copies)
    })
    .await?;
    doors.stop().await
}

#[tokio::test]
async fn every_accepted_event_is_on_the_topic_after_kill_9_of_the_ingress() -> anyhow::Result<()> {
    // Without a snapshot each start reads the whole window, and so counts every copy.
    let flags = ["--dedupe-snapshot", "off"];
    let mut doors = Doors::open("ingress_kill9", 1, SECRET, &flags).await?;
    doors.start().await?;
    let provider = Provider::new(doors.urls(), SECRET)?;
    let senders = provider.begin(SENDERS);
    for _ in 0..3 * Size::of_this_run().rounds {
        goes_on(&provider).await?;
        let service = &mut doors.replicas[0].service;
        service.kill().await?;
        service.start().await?;
    }
    goes_on(&provider).await?;
    let deliveries = provider.end(senders).await?;
    let interrupted = |delivery: &&Delivery| delivery.replies.iter().any(Option::is_none);
    assert!(deliveries.iter().any(|it| interrupted(&it)), "no request met a kill");
    check(doors, &deliveries).await
}

#[tokio::test]
async fn every_accepted_event_is_on_the_topic_after_kill_9_of_kafka() -> anyhow::Result<()> {
    let flags = ["--dedupe-snapshot", "off", "--produce-deadline", "2s"];
    let mut doors = Doors::open("ingress_kafka_kill9", 1, SECRET, &flags).await?;
    doors.start().await?;
    let provider = Provider::new(doors.urls(), SECRET)?;
    let senders = provider.begin(SENDERS);
    for _ in 0..Size::of_this_run().rounds {
        goes_on(&provider).await?;
        let goal = provider.refused() + REFUSALS;
        let kafka = doors.platform.kafka().context("no local Kafka")?;
        kafka.kill().await?;
        let refused = async || Ok(provider.refused() >= goal);
        wait_until("refusals without Kafka", DEADLINE, refused).await?;
        doors.platform.kafka().context("no local Kafka")?.start().await?;
        goes_on(&provider).await?;
    }
    let deliveries = provider.end(senders).await?;
    let replies = deliveries.iter().flat_map(|delivery| delivery.replies.iter().flatten());
    let mut refused =
        replies.filter(|reply| reply.status == StatusCode::SERVICE_UNAVAILABLE).peekable();
    assert!(refused.peek().is_some());
    assert!(refused.all(|reply| reply.retry_after.is_some()), "503 says when to come again");
    check(doors, &deliveries).await
}
