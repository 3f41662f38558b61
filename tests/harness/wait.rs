//! Waiting for conditions.
use std::time::Duration;

use anyhow::bail;

/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Waits until `condition` gives a value; fails after `deadline`, naming `what` was waited for.
pub async fn wait_for<T>(
    what: &str,
    deadline: Duration,
    mut condition: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let waited = tokio::time::timeout(deadline, async {
        loop {
            if let Some(value) = condition().await? {
                return Ok(value);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    });
    match waited.await {
        Ok(value) => value,
        Err(_) => bail!("waited {} s in vain for: {what}", deadline.as_secs()),
    }
}

/// Waits until `condition` holds; fails after `deadline`, naming `what` was waited for.
pub async fn wait_until(
    what: &str,
    deadline: Duration,
    mut condition: impl AsyncFnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    wait_for(what, deadline, async || Ok(condition().await?.then_some(()))).await
}
