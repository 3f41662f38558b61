//! How many records all apps together have still to read.
use std::path::Path;

use streams::admin::Admin;
use streams::topology_file::TopologyFile;

use crate::command::lag::lag_of;

/// Counts the records that the apps have still to read.
#[derive(Debug)]
pub struct Lags {
    file: TopologyFile,
    admin: Admin,
}

impl Lags {
    /// Of the apps that `topology_file` declares.
    pub fn new(topology_file: &Path, bootstrap_servers: &str) -> anyhow::Result<Self> {
        let file = TopologyFile::load(topology_file)?;
        Ok(Self { file, admin: Admin::new(bootstrap_servers)? })
    }

    /// All apps together, now.
    pub async fn total(&self) -> anyhow::Result<i64> {
        let topics = self.admin.topics().await?;
        let mut total = 0i64;
        for app in self.file.apps().values() {
            let lags = lag_of(&self.admin, &topics, app, None).await?;
            // A topic that the app is declared to read, but does not as it is configured here (a hook
            // without an address), never gets an offset.
            let is_read =
                |topic: &str| lags.iter().any(|lag| lag.topic == topic && lag.committed.is_some());
            let read = lags.iter().filter(|lag| is_read(&lag.topic));
            total = read.fold(total, |sum, lag| sum.saturating_add(lag.lag));
        }
        Ok(total)
    }
}
