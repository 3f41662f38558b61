//! The network that is none.

use std::time::Duration;

use schemas::PostRequested;

use super::{Answer, Network, Publishing};
use crate::rules::NetworkName;

/// Logs what would be published. The text was made to be public, so it may stand in a log.
#[derive(Clone, Copy, Debug, Default)]
pub struct DryRun;

impl Network for DryRun {
    fn name(&self) -> NetworkName {
        NetworkName::DryRun
    }

    /// Nothing happens, however often.
    fn key_validity(&self) -> Duration {
        Duration::MAX
    }

    fn publish(&self, _key: &str, post: &PostRequested) -> Publishing {
        tracing::info!(post_id = post.post_id, text = post.text, "dry run: not published");
        Box::pin(async { Ok(Answer::DryRun) })
    }
}
