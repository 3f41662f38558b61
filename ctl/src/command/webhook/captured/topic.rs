//! The topic of rejected requests.

use anyhow::Context as _;
use schemas::topics::WEBHOOKS_REJECTED;
use streams::admin::Admin;
use streams::registry::Registry;

use super::entry::Entry;
use crate::cli::Shared;
use crate::command::tail::reader::{Reading, Start};

/// The newest requests that are read: of the longest that are kept some 100 MB, and more than anybody
/// looks through.
const ENTRIES_MAX: usize = 1000;

/// The newest requests that are on the topic now, in order.
pub(super) async fn entries(shared: &Shared) -> anyhow::Result<Vec<Entry>> {
    let servers = shared.bootstrap_servers()?;
    let registry = Registry::new(&shared.schema_registry_url()?)?;
    let admin = Admin::new(&servers)?;
    let topics = admin.topics().await?;
    let state = topics.get(WEBHOOKS_REJECTED).with_context(|| {
        format!("no topic `{WEBHOOKS_REJECTED}` on {servers}; `bankstream topology apply` makes it")
    })?;
    let ends = admin.watermarks(WEBHOOKS_REJECTED, state.partitions).await?;
    let start = Start::Newest(ENTRIES_MAX);
    let mut reading = Reading::start(&servers, WEBHOOKS_REJECTED, &ends, start, false)?;
    let mut entries = Vec::new();
    while let Some(record) = reading.next().await {
        let record = record?;
        let at = || format!("reading offset {} of {WEBHOOKS_REJECTED}", record.offset);
        let value = record.value.as_deref().unwrap_or_default();
        let json = registry.to_json(value).await.with_context(at)?.with_context(at)?;
        let kept = serde_json::from_value(json).with_context(at)?;
        entries.push(Entry { number: record.offset.saturating_add(1), kept });
    }
    Ok(entries)
}
