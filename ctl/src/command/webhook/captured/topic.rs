//! The topic of rejected requests.

use anyhow::Context as _;
use schemas::topics::WEBHOOKS_REJECTED;
use streams::admin::Admin;
use streams::registry::{Registry, RegistryError};

use super::entry::Entry;
use crate::cli::Shared;
use crate::command::tail::reader::{Reading, Record, Start};
use crate::{output, patience};

/// The newest requests that are read: of the longest that are kept some 100 MB, and more than anybody
/// looks through.
const ENTRIES_MAX: usize = 1000;

/// The newest requests that are on the topic now, in order.
pub(super) async fn entries(shared: &Shared) -> anyhow::Result<Vec<Entry>> {
    let servers = shared.bootstrap_servers()?;
    let registry = Registry::new(&shared.schema_registry_url()?)?;
    let admin = Admin::new(&servers)?;
    let topics = patience::topics(&admin).await?;
    let state = topics.get(WEBHOOKS_REJECTED).with_context(|| {
        format!("no topic `{WEBHOOKS_REJECTED}` on {servers}; `bankstream topology apply` makes it")
    })?;
    let ends = admin.watermarks(WEBHOOKS_REJECTED, state.partitions).await?;
    let start = Start::Newest(ENTRIES_MAX);
    let mut reading = Reading::start(&servers, WEBHOOKS_REJECTED, &ends, start, false)?;
    let mut entries = Vec::new();
    while let Some(record) = reading.next().await {
        let record = record?;
        match entry(&record, &registry).await? {
            Ok(entry) => entries.push(entry),
            Err(reason) => {
                let at = format!("offset {} of {WEBHOOKS_REJECTED}", record.offset);
                output::progress(&format!("{at} is passed over: {reason}"));
            }
        }
    }
    Ok(entries)
}

/// The request in a record, or why it is none: what somebody else wrote must not hide the others. An
/// error is the registry's, and concerns all of them.
async fn entry(
    record: &Record,
    registry: &Registry,
) -> Result<Result<Entry, String>, RegistryError> {
    let value = record.value.as_deref().unwrap_or_default();
    let json = match registry.to_json(value).await {
        Ok(Some(json)) => json,
        Ok(None) => return Ok(Err("it is not of the ingress".to_owned())),
        Err(error @ RegistryError::Undecodable { .. }) => return Ok(Err(error.to_string())),
        Err(error) => return Err(error),
    };
    let number = record.offset.saturating_add(1);
    let kept = serde_json::from_value(json).map(|kept| Entry { number, kept });
    Ok(kept.map_err(|error| format!("it is not of the ingress: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_record_of_somebody_else_is_passed_over() {
        let registry = Registry::new("http://127.0.0.1:9").unwrap();
        for value in [None, Some(b"{}".to_vec()), Some(Vec::new())] {
            let (timestamp, key, headers) = (None, None, Vec::new());
            let record = Record { partition: 0, offset: 4, timestamp, key, value, headers };
            let reason = entry(&record, &registry).await.unwrap().unwrap_err();
            assert_eq!(reason, "it is not of the ingress");
        }
    }
}
