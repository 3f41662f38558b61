//! What may put an event on the raw topic twice, and that it does no harm behind it.
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use ctl::pipeline::{Bank, Service};
use harness::{Doors, Provider, Webhook, committed, read_all, wait_until};
use reqwest::StatusCode;
use schemas::topics::{TRANSACTIONS_ENRICHED, WEBHOOKS_RECEIVED};
use serde_json::json;
use streams::admin::Admin;

const SECRET: &str = "secret-of-a-test";
const APP: &str = "transaction-enricher";
const COPIES: &str = "webhook_raw_duplicates_total";
const DEADLINE: Duration = Duration::from_mins(1);

/// Records whose value has this text.
async fn count(doors: &Doors, topic: &str, text: &str) -> anyhow::Result<usize> {
    let records = read_all(doors.platform.bootstrap_servers(), topic).await?;
    let has = |value: &[u8]| value.windows(text.len()).any(|bytes| bytes == text.as_bytes());
    Ok(records.iter().filter(|record| record.value.as_deref().is_some_and(has)).count())
}

/// Waits until the enricher has done all that is on the raw topic.
async fn until_enriched(doors: &Doors) -> anyhow::Result<()> {
    let servers = doors.platform.bootstrap_servers();
    let admin = Admin::new(servers)?;
    let topics = admin.topics().await?;
    let partitions = topics.get(WEBHOOKS_RECEIVED).context("no raw topic")?.partitions;
    wait_until("the enricher to have read everything", DEADLINE, async || {
        for (partition, ends) in admin.watermarks(WEBHOOKS_RECEIVED, partitions).await? {
            let next = committed(servers, APP, WEBHOOKS_RECEIVED, partition).await?;
            if next.unwrap_or(0) < ends.high {
                return Ok(false);
            }
        }
        Ok(true)
    })
    .await
}

/// A bank, and the enricher that asks it.
async fn enricher(doors: &Doors) -> anyhow::Result<(Bank, [Service; 2])> {
    let layout = &doors.replicas[0].layout;
    let mut sandbox = layout.sandbox(&["--seed", "7"])?;
    sandbox.start().await?;
    let bank = Bank::new(&sandbox.url(""))?;
    let mut enricher = layout.processor(APP, "1", &bank, &[], &[])?;
    enricher.start().await?;
    Ok((bank, [sandbox, enricher]))
}

#[tokio::test]
async fn an_event_that_two_replicas_took_at_once_is_counted_and_derived_once() -> anyhow::Result<()>
{
    let mut doors = Doors::open("ingress_race", 2, SECRET, &[]).await?;
    doors.start().await?;
    let (bank, mut services) = enricher(&doors).await?;
    let provider = Provider::new(doors.urls(), SECRET)?;
    let urls = doors.urls();
    let account = bank.truth().await?.accounts.first().context("no account")?.id.clone();
    let mut twice = Vec::new();
    wait_until("an event that is on the topic twice", DEADLINE, async || {
        let order = json!({
            "account": account, "amount": -100, "description": "Lighthouse Books", "course": "lost",
        });
        let webhook = Webhook::created(&bank.record(&order).await?);
        let (a, b) =
            tokio::join!(provider.post(&urls[0], &webhook), provider.post(&urls[1], &webhook));
        ensure!((a?.status, b?.status) == (StatusCode::OK, StatusCode::OK));
        if count(&doors, WEBHOOKS_RECEIVED, &webhook.id).await? == 2 {
            twice.push(webhook);
        }
        Ok(!twice.is_empty())
    })
    .await?;
    let webhook = twice.remove(0);
    for replica in &doors.replicas {
        let counted = async || Ok(replica.metric(COPIES).await? == 1);
        wait_until("the second copy counted", DEADLINE, counted).await?;
    }
    for url in &urls {
        assert!(provider.post(url, &webhook).await?.is_replay, "both know it now");
    }
    until_enriched(&doors).await?;
    assert_eq!(count(&doors, TRANSACTIONS_ENRICHED, &webhook.id).await?, 1);
    for service in services.iter_mut().rev() {
        service.terminate().await?;
    }
    doors.stop().await
}

pub(crate) fn signal(name: &str, doors: &mut Doors) -> anyhow::Result<()> {
    let running = doors.platform.kafka().and_then(|kafka| kafka.running());
    let pid = running.context("no local Kafka")?.pid;
    let status = Command::new("kill").args([name, &pid.to_string()]).status()?;
    ensure!(status.success(), "kill {name} {pid}: {status}");
    Ok(())
}

#[tokio::test]
async fn a_produce_that_timed_out_and_landed_is_known_to_the_retry() -> anyhow::Result<()> {
    let mut doors = Doors::open("ingress_late", 1, SECRET, &["--produce-deadline", "1s"]).await?;
    doors.start().await?;
    let provider = Provider::new(doors.urls(), SECRET)?;
    let url = doors.urls().remove(0);
    // The connection is there and idle: the record will be in the broker's hands, or its machine's.
    assert_eq!(provider.post(&url, &Webhook::ping()).await?.status, StatusCode::OK);
    let webhook = Webhook::ping();
    signal("-STOP", &mut doors)?;
    let reply = provider.post(&url, &webhook).await;
    signal("-CONT", &mut doors)?;
    let reply = reply?;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(reply.retry_after.as_deref(), Some("5"));

    wait_until("the record that was given up", DEADLINE, async || {
        Ok(count(&doors, WEBHOOKS_RECEIVED, &webhook.id).await? == 1)
    })
    .await?;
    let replica = &doors.replicas[0];
    wait_until("the ingress to have read it", DEADLINE, async || {
        Ok(replica.metric("webhook_dedupe_ids").await? == 2)
    })
    .await?;
    let reply = provider.post(&url, &webhook).await?;
    assert_eq!((reply.status, reply.is_replay), (StatusCode::OK, true));
    assert_eq!(count(&doors, WEBHOOKS_RECEIVED, &webhook.id).await?, 1, "not sent again");
    assert_eq!(replica.metric(COPIES).await?, 0);
    doors.stop().await
}
