//! A secret rotated under load, as an operator does it: the new one added, used, the old one removed.
use std::time::Duration;

use harness::{Audit, Doors, Provider, Webhook, wait_until};
use reqwest::StatusCode;

const OLD: &str = "old-secret-of-a-test";
const NEW: &str = "new-secret-of-a-test";
/// Requests at the same time.
const SENDERS: usize = 8;
/// Events taken between two steps, so that each happens in a stream and not in a silence.
const EVENTS_BETWEEN: usize = 150;
const DEADLINE: Duration = Duration::from_secs(30);

async fn goes_on(provider: &Provider) -> anyhow::Result<()> {
    let goal = provider.taken() + EVENTS_BETWEEN;
    wait_until("more events", DEADLINE, async || Ok(provider.taken() >= goal)).await
}

/// Waits until every replica answers this secret's webhooks with `status`; gives how many were taken.
async fn until_answered(doors: &Doors, secret: &str, status: StatusCode) -> anyhow::Result<usize> {
    let provider = Provider::new(doors.urls(), secret)?;
    let mut taken = 0;
    for url in doors.urls() {
        wait_until("another set of secrets", DEADLINE, async || {
            let reply = provider.post(&url, &Webhook::ping()).await?;
            taken += usize::from(reply.status == StatusCode::OK);
            Ok(reply.status == status)
        })
        .await?;
    }
    Ok(taken)
}

#[tokio::test]
async fn a_secret_rotated_under_load_costs_no_request() -> anyhow::Result<()> {
    let mut doors = Doors::open("ingress_secrets", 2, OLD, &[]).await?;
    doors.start().await?;
    let provider = Provider::new(doors.urls(), OLD)?;
    // A sender fails with the first answer that is neither 200 nor 503.
    let senders = provider.begin(SENDERS);
    goes_on(&provider).await?;
    assert_eq!(until_answered(&doors, NEW, StatusCode::UNAUTHORIZED).await?, 0);

    for replica in &doors.replicas {
        replica.put_secret("new", Some(NEW))?;
    }
    let probes = until_answered(&doors, NEW, StatusCode::OK).await?;
    provider.use_secret(NEW)?;
    goes_on(&provider).await?;

    for replica in &doors.replicas {
        replica.put_secret("old", None)?;
    }
    let late = until_answered(&doors, OLD, StatusCode::UNAUTHORIZED).await?;
    goes_on(&provider).await?;
    let deliveries = provider.end(senders).await?;

    let audit = Audit::of(&doors.raw().await?, &deliveries);
    assert!(audit.missing.is_empty() && audit.altered.is_empty(), "{audit:#?}");
    assert_eq!(audit.unknown.len(), probes + late, "nothing but the probes came beside them");
    for key in ["old", "new"] {
        let used = format!("webhook_key_used_total{{key=\"{key}\",source=\"up\"}}");
        assert!(doors.replicas[0].metric(&used).await? > 0, "{key} was used");
    }
    doors.stop().await
}
