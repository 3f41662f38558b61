//! The networks a post can go to, behind one seam.
//!
//! A further network is a further implementation of [`Network`], a variant of
//! [`NetworkName`](crate::NetworkName) and a line in [`crate::topology`].

mod dry_run;
mod mastodon;

use std::{fmt, pin::Pin, sync::Arc, time::Duration};

use schemas::PostRequested;
use serde::{Deserialize, Serialize};
use streams::{Classify, Disposition, Fault};

use crate::rules::NetworkName;

pub use dry_run::DryRun;
pub use mastodon::Mastodon;

/// Wait before another try when the network does not say how long.
const OUTAGE_WAIT: Duration = Duration::from_secs(10);

/// What a network said; kept in the effect ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// The post is public.
    Published {
        /// The network's id of it, where its answer was readable.
        network_id: Option<String>,
        /// Where it can be seen.
        url: Option<String>,
    },
    /// Nothing was sent anywhere.
    DryRun,
    /// The network will never take it.
    Rejected {
        /// The network's reason.
        detail: String,
    },
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// A request of an earlier configuration waits for its network.
    #[error(
        "a post for `{network}` waits, but that network is not configured; set MASTODON_URL and MASTODON_TOKEN"
    )]
    NotConfigured {
        /// The network.
        network: &'static str,
    },
    /// The token is wrong, revoked, or lacks the scope.
    #[error(
        "`{network}` answered {status}: give a token with the scope write:statuses (MASTODON_TOKEN) and start again"
    )]
    Unauthorized {
        /// The network.
        network: &'static str,
        /// HTTP status.
        status: u16,
    },
    /// There is no such API at this address.
    #[error(
        "`{network}` answered {status}: expected a Mastodon server at MASTODON_URL, named without redirects"
    )]
    WrongAddress {
        /// The network.
        network: &'static str,
        /// HTTP status.
        status: u16,
    },
    /// Too many posts in a while.
    #[error("`{network}` takes no more posts for {} s", after.as_secs())]
    RateLimited {
        /// The network.
        network: &'static str,
        /// How long to wait.
        after: Duration,
    },
    /// The network has trouble.
    #[error("`{network}` answered {status}")]
    Unavailable {
        /// The network.
        network: &'static str,
        /// HTTP status.
        status: u16,
        /// How long to wait, where it said so.
        after: Option<Duration>,
    },
    /// No answer.
    #[error("calling `{network}`")]
    Transport {
        /// The network.
        network: &'static str,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The runtime's own.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl Classify for PublishError {
    fn disposition(&self) -> Disposition {
        match self {
            // Every post would fail the same, and none needs to be lost: a person repairs it.
            Self::NotConfigured { .. } | Self::Unauthorized { .. } | Self::WrongAddress { .. } => {
                Disposition::Halt
            }
            // An outage is not counted against the post: the key's validity is the limit.
            Self::RateLimited { after, .. } => Disposition::wait(*after),
            Self::Unavailable { after, .. } => Disposition::wait(after.unwrap_or(OUTAGE_WAIT)),
            Self::Transport { .. } => Disposition::wait(OUTAGE_WAIT),
            Self::Fault(fault) => fault.disposition(),
        }
    }
}

/// A call on its way.
pub type Publishing = Pin<Box<dyn Future<Output = Result<Answer, PublishError>> + Send>>;

/// A place where posts are published.
pub trait Network: fmt::Debug + Send + Sync + 'static {
    /// Its name in rules and records.
    fn name(&self) -> NetworkName;

    /// How long it takes a repeated key as the same post.
    fn key_validity(&self) -> Duration;

    /// Publishes. The same `key` comes again when an answer was lost.
    fn publish(&self, key: &str, post: &PostRequested) -> Publishing;
}

/// The networks of this process.
#[derive(Clone, Debug)]
pub struct Networks(Arc<[Arc<dyn Network>]>);

impl Networks {
    /// One network per name; of two with one name the first is used.
    pub fn new(networks: impl IntoIterator<Item = Arc<dyn Network>>) -> Self {
        Self(networks.into_iter().collect())
    }

    /// Whether posts can go there.
    pub fn has(&self, name: NetworkName) -> bool {
        self.0.iter().any(|network| network.name() == name)
    }

    /// The shortest validity: one ledger serves them all.
    pub fn key_validity(&self) -> Duration {
        self.0.iter().map(|network| network.key_validity()).min().unwrap_or(Duration::MAX)
    }

    /// Publishes on the network the post names.
    pub fn publish(&self, key: &str, post: &PostRequested) -> Publishing {
        let named = |network: &&Arc<dyn Network>| network.name().as_str() == post.network;
        if let Some(network) = self.0.iter().find(named) {
            return network.publish(key, post);
        }
        let known = [NetworkName::DryRun, NetworkName::Mastodon];
        let answer = match known.into_iter().find(|name| name.as_str() == post.network) {
            Some(name) => Err(PublishError::NotConfigured { network: name.as_str() }),
            None => Ok(Answer::Rejected {
                detail: "expected the network dry-run or mastodon".to_owned(),
            }),
        };
        Box::pin(std::future::ready(answer))
    }
}
