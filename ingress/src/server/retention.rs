//! Whether the raw topic, as it is on the cluster, keeps records for as long as event ids must be
//! known. The declaration says so, or the start is refused before this; the cluster may differ.

use std::collections::BTreeMap;
use std::time::Duration;

use schemas::topics::WEBHOOKS_RECEIVED;
use streams::admin::{Admin, AdminError, TopicSetting};
use streams::topology_file::format_duration;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::publish::Publisher;
use crate::receive::Ingress;

/// Pause between two questions to a cluster that is not there yet.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// The topic forgets before the ingress may.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "`sources.{source_name}` remembers event ids for {window}, but `{WEBHOOKS_RECEIVED}` on the cluster \
     keeps its records for {retention} only; `bankstream topology plan` shows the command that raises \
     it to what topology.toml declares, or give the source a shorter `dedupe_window`"
)]
pub(super) struct Short {
    source_name: String,
    window: String,
    retention: String,
}

/// Asks the cluster until it answers or `stop`; blocks. What it may not tell is no reason not to go
/// on.
pub(super) fn check<P: Publisher>(
    servers: &str,
    ingress: &Ingress<P>,
    runtime: &Handle,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let widest = ingress.doors.iter().map(|door| &door.source).max_by_key(|it| it.dedupe_window);
    let Some(widest) = widest else { return Ok(()) };
    let admin = Admin::new(servers)?;
    while !stop.is_cancelled() {
        match runtime.block_on(admin.settings(&[WEBHOOKS_RECEIVED])) {
            Ok(mut settings) => {
                let settings = settings.remove(WEBHOOKS_RECEIVED).unwrap_or_default();
                return Ok(judge(&settings, &widest.name, widest.dedupe_window)?);
            }
            Err(error @ AdminError::Unreachable { .. }) => {
                ingress.readiness.waiting_for(format!("Kafka: {error}"));
            }
            // Without the topic the reader says so; without the right to ask there is no answer.
            Err(error) => {
                tracing::debug!("the retention of {WEBHOOKS_RECEIVED} is not known: {error}");
                return Ok(());
            }
        }
        let wait = async { tokio::time::timeout(RETRY_PAUSE, stop.cancelled()).await.is_ok() };
        if runtime.block_on(wait) {
            break;
        }
    }
    Ok(())
}

fn judge(
    settings: &BTreeMap<String, TopicSetting>,
    source: &str,
    window: Duration,
) -> Result<(), Short> {
    let number = |name: &str| settings.get(name)?.value.parse::<i64>().ok();
    if number("retention.bytes").is_some_and(|bytes| bytes >= 0) {
        tracing::warn!(
            "{WEBHOOKS_RECEIVED} on the cluster has a limit of bytes (retention.bytes): what it \
             drops before its time cannot be recognised after a start without a snapshot",
        );
    }
    // -1 stands for ever.
    let kept = number("retention.ms").and_then(|ms| u64::try_from(ms).ok());
    match kept.map(Duration::from_millis) {
        Some(kept) if kept < window => Err(Short {
            source_name: source.to_owned(),
            window: format_duration(window),
            retention: format_duration(kept),
        }),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(retention_ms: Option<&str>, expect: Option<&str>) {
        let value = retention_ms.map(|ms| TopicSetting { value: ms.to_owned(), is_own: true });
        let settings = value.into_iter().map(|it| ("retention.ms".to_owned(), it)).collect();
        let answer = judge(&settings, "up", Duration::from_hours(7 * 24));
        let message = answer.err().map(|error| error.to_string());
        let is_expected = match (&message, expect) {
            (Some(message), Some(part)) => message.contains(part),
            (message, expect) => message.is_none() && expect.is_none(),
        };
        assert!(is_expected, "{message:?}, expected {expect:?}");
    }

    #[test]
    fn a_topic_that_forgets_before_the_window_ends_is_refused_with_what_to_do() {
        check(Some("604800000"), None);
        check(Some("-1"), None);
        check(None, None);
        check(Some("604799999"), Some("keeps its records for"));
        check(Some("518400000"), Some("`sources.up` remembers event ids for 7d"));
        check(Some("518400000"), Some("for 6d only; `bankstream topology plan`"));
    }
}
