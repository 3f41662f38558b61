//! Rejected requests on their topic: shown and explained from there, and no way to hold up a webhook.
use std::time::Duration;

use anyhow::ensure;
use harness::{Doors, Provider, Webhook, read_all, wait_until};
use reqwest::StatusCode;
use schemas::topics::{WEBHOOKS_RECEIVED, WEBHOOKS_REJECTED};

use crate::ingress_twice::signal;

const SECRET: &str = "secret-of-a-test";
const OTHER_SECRET: &str = "secret-of-a-forger";
const DEADLINE: Duration = Duration::from_mins(1);

/// More than wait in the ingress and in its producer together.
const FLOOD: u64 = 500;

async fn open(name: &str) -> anyhow::Result<(Doors, Provider, Provider)> {
    let flags = ["--capture-topic", "--capture-content", "whole", "--capture-rate", "0"];
    let mut doors = Doors::open(name, 1, SECRET, &flags).await?;
    doors.start().await?;
    let genuine = Provider::new(doors.urls(), SECRET)?;
    let forger = Provider::new(doors.urls(), OTHER_SECRET)?;
    Ok((doors, genuine, forger))
}

/// Requests that were rejected, by what became of their record.
async fn captured(doors: &Doors, result: &str) -> anyhow::Result<u64> {
    let series = format!("webhook_captured_total{{result=\"{result}\"}}");
    doors.replicas[0].metric(&series).await
}

#[tokio::test]
async fn a_rejected_request_is_shown_and_explained_from_its_topic() -> anyhow::Result<()> {
    let (doors, genuine, forger) = open("ingress_capture").await?;
    let url = doors.urls().remove(0);
    let (forged, accepted) = (Webhook::ping(), Webhook::ping());
    assert_eq!(forger.post(&url, &forged).await?.status, StatusCode::UNAUTHORIZED);
    assert_eq!(genuine.post(&url, &accepted).await?.status, StatusCode::OK);
    wait_until("the record", DEADLINE, async || Ok(captured(&doors, "published").await? == 1))
        .await?;
    let servers = doors.platform.bootstrap_servers();
    assert_eq!(read_all(servers, WEBHOOKS_REJECTED).await?.len(), 1);
    assert_eq!(read_all(servers, WEBHOOKS_RECEIVED).await?.len(), 1);

    let layout = &doors.replicas[0].layout;
    let listed = layout.bankstream(&["webhook", "captured", "--topic"], &[]).await?;
    assert!(listed.contains("up  signature-mismatch  from 127.0.0.1"), "{listed}");
    assert!(listed.contains("reasons   up signature-mismatch 1"), "{listed}");
    let body = layout.dir().join("body.json");
    let body_to = body.display().to_string();
    let explain = ["webhook", "captured", "--topic", "--explain", "1", "--body-to", &body_to];
    // with the secret that the provider may have rotated to
    let candidate = [explain.as_slice(), &["--secret-env", "CANDIDATE"]].concat();
    let told = layout.bankstream(&candidate, &[("CANDIDATE", OTHER_SECRET)]).await?;
    assert!(told.contains("accepted: signed with key `CANDIDATE`"), "{told}");
    assert_eq!(std::fs::read(&body)?, forged.body);
    // with the secrets of now it is still none of ours
    assert!(layout.bankstream(&explain, &[]).await.is_err());
    doors.stop().await
}

#[tokio::test]
async fn a_broker_that_does_not_answer_holds_up_no_rejection_and_no_webhook() -> anyhow::Result<()>
{
    let (mut doors, genuine, forger) = open("ingress_capture_away").await?;
    let url = doors.urls().remove(0);
    assert_eq!(genuine.post(&url, &Webhook::ping()).await?.status, StatusCode::OK);
    signal("-STOP", &mut doors)?;
    let flood = async {
        for _ in 0..FLOOD {
            let status = forger.post(&url, &Webhook::ping()).await?.status;
            ensure!(status == StatusCode::UNAUTHORIZED, "{status}");
        }
        Ok(())
    };
    let flooded = tokio::time::timeout(DEADLINE / 2, flood).await;
    signal("-CONT", &mut doors)?;
    flooded??;

    wait_until("the genuine one", DEADLINE, async || {
        Ok(genuine.post(&url, &Webhook::ping()).await?.status == StatusCode::OK)
    })
    .await?;
    wait_until("each to be kept or given up", DEADLINE, async || {
        let mut known = 0;
        for result in ["published", "unpublished", "crowded"] {
            known += captured(&doors, result).await?;
        }
        Ok(known == FLOOD)
    })
    .await?;
    let servers = doors.platform.bootstrap_servers();
    let on_topic = u64::try_from(read_all(servers, WEBHOOKS_REJECTED).await?.len())?;
    assert!(on_topic >= captured(&doors, "published").await?, "{on_topic}");
    doors.stop().await
}
