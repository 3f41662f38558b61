//! Replicas of the ingress restarted under load: nothing is lost, and what is there twice is counted.
use std::time::Duration;

use harness::{Audit, Doors, Provider, Size, Webhook, wait_until};
use reqwest::StatusCode;

const SECRET: &str = "secret-of-a-test";
/// Requests at the same time.
const SENDERS: usize = 8;
/// Events taken between two steps, so that each happens in a stream and not in a silence.
const EVENTS_BETWEEN: usize = 150;
const DEADLINE: Duration = Duration::from_secs(30);

async fn goes_on(provider: &Provider) -> anyhow::Result<()> {
    let goal = provider.taken() + EVENTS_BETWEEN;
    wait_until("more events", DEADLINE, async || Ok(provider.taken() >= goal)).await
}

#[tokio::test]
async fn a_rolling_restart_of_two_replicas_loses_nothing_and_counts_what_is_there_twice()
-> anyhow::Result<()> {
    let mut doors = Doors::open("ingress_rolling", 2, SECRET, &[]).await?;
    doors.start().await?;
    let provider = Provider::new(doors.urls(), SECRET)?;
    let senders = provider.begin(SENDERS);
    // A replica's count of second copies through all of its lives: a start reads on exactly where
    // the life before ended.
    let copies = "webhook_raw_duplicates_total";
    let mut counted = vec![0; doors.replicas.len()];
    for _ in 0..Size::of_this_run().rounds {
        for (replica, counted) in doors.replicas.iter_mut().zip(&mut counted) {
            goes_on(&provider).await?;
            *counted += replica.metric(copies).await?;
            let ended = replica.service.terminate().await?;
            assert!(ended.is_some_and(|status| status.success()), "ended with {ended:?}");
            goes_on(&provider).await?;
            replica.service.start().await?;
            assert_eq!(replica.metric(LOADED).await?, 1, "it should read on from its snapshot");
        }
    }
    goes_on(&provider).await?;
    let deliveries = provider.end(senders).await?;

    let audit = Audit::of(&doors.raw().await?, &deliveries);
    assert!(audit.agrees(), "{audit:#?}");
    wait_until("every second copy counted", DEADLINE, async || {
        for (replica, counted) in doors.replicas.iter().zip(&counted) {
            if counted + replica.metric(copies).await? >= audit.second_copies {
                return Ok(true);
            }
        }
        Ok(false)
    })
    .await?;
    doors.stop().await
}

const LOADED: &str = "webhook_dedupe_snapshots_total{result=\"loaded\"}";

#[tokio::test]
async fn a_duplicate_of_before_a_restart_is_known_as_soon_as_the_ingress_is_ready()
-> anyhow::Result<()> {
    let mut doors = Doors::open("ingress_duplicate", 1, SECRET, &[]).await?;
    doors.start().await?;
    let provider = Provider::new(doors.urls(), SECRET)?;
    let url = doors.urls().remove(0);
    let mut sent = Vec::new();
    // With the snapshot of an orderly stop, with none, and with that of before a crash.
    for (round, loaded) in [(0, 1), (1, 0), (2, 1)] {
        for _ in 0..20 {
            let webhook = Webhook::ping();
            let reply = provider.post(&url, &webhook).await?;
            assert_eq!((reply.status, reply.is_replay), (StatusCode::OK, false));
            sent.push(webhook);
        }
        let replica = &mut doors.replicas[0];
        match round {
            2 => replica.service.kill().await?,
            _ => drop(replica.service.terminate().await?),
        }
        if round == 1 {
            std::fs::remove_file(replica.snapshot())?;
        }
        replica.service.start().await?;
        for webhook in &sent {
            let reply = provider.post(&url, webhook).await?;
            assert_eq!((reply.status, reply.is_replay), (StatusCode::OK, true), "round {round}");
        }
        assert_eq!(replica.metric(LOADED).await?, loaded, "round {round}");
    }
    // The same id with another body is no retry.
    let mut other = sent[0].clone();
    other.body.push(b' ');
    assert_eq!(provider.post(&url, &other).await?.status, StatusCode::UNAUTHORIZED);
    let reason = "webhook_rejected_total{reason=\"replayed\",source=\"up\"}";
    assert_eq!(doors.replicas[0].metric(reason).await?, 1);
    assert_eq!(doors.raw().await?.len(), sent.len(), "every event once");
    doors.stop().await
}
