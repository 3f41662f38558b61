//! Who gets as far as a door: before verification by address, after it by source.
//!
//! A sender that sends too much that is not genuine is told so before its next body is read. Genuine
//! events are not counted against an address, only against their source. Where an address does not
//! tell senders apart, on this machine or behind a proxy that does not say for whom it speaks, no
//! limit goes by it: it would turn away everybody for what one of them does. A tunnel on this machine
//! that nobody named looks so too, and the log says it.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use warp::http::HeaderMap;

use crate::address::{Network, NetworkError, party};
use crate::answer::Answer;
use crate::client::{ForwardedHeader, Trust};
use crate::clock::Stopwatch;
use crate::config::number;
use crate::door::Door;
use crate::metrics::GateMetrics;
use crate::rate::{Empty, Pace, Paces, Rate};

/// Requests a second from one address, unless the operator says another number; all, and those that
/// are not genuine.
const ADDRESS_RATE: u32 = 5_000;
const REJECTED_RATE: u32 = 50;

/// Headers in which proxies and tunnels say for whom they speak.
const FORWARDING: [&str; 4] = ["x-forwarded-for", "forwarded", "cf-connecting-ip", "x-real-ip"];

/// What bounds senders.
#[derive(Clone, Debug, clap::Args)]
#[group(id = "senders")]
pub struct Limits {
    /// Proxies that may say for whom they speak: networks or addresses. A tunnel on this machine
    /// (cloudflared) is `127.0.0.1,::1`; unless it is named, no limit by address counts what it brings.
    #[arg(long = "trusted-proxy", env = "INGRESS_TRUSTED_PROXIES", value_delimiter = ',')]
    pub trusted_proxies: Vec<Network>,
    /// Where they say so; what the other header says is the sender's own word.
    #[arg(long, env = "INGRESS_FORWARDED_HEADER", value_enum, default_value = "x-forwarded-for")]
    pub forwarded_header: ForwardedHeader,
    /// Whence a source's webhooks may come, as `up=192.0.2.0/24`; sources that are not named take
    /// them from anywhere.
    #[arg(long = "allow", env = "INGRESS_ALLOW", value_delimiter = ',')]
    pub allow: Vec<Allowed>,
    /// Requests a second from one address, whatever becomes of them; 0 for no limit. Those of this
    /// machine are not counted.
    #[arg(long, env = "INGRESS_ADDRESS_RATE", default_value_t = ADDRESS_RATE, value_parser = number::<u32>)]
    pub address_rate: u32,
    /// Requests a second from one address that are not genuine or find nothing; 0 for no limit. Those
    /// of this machine are not counted.
    #[arg(long, env = "INGRESS_REJECTED_RATE", default_value_t = REJECTED_RATE, value_parser = number::<u32>)]
    pub rejected_rate: u32,
    /// Genuine requests a second for one source; 0 for no limit.
    #[arg(long, env = "INGRESS_SOURCE_RATE", default_value_t = 50_000, value_parser = number::<u32>)]
    pub source_rate: u32,
}

impl Limits {
    /// Whether limits by address were chosen and count nobody: whoever listens on this machine alone
    /// hears of all others through something that is not named.
    pub fn are_idle(&self, listen: SocketAddr) -> bool {
        let is_chosen = (self.address_rate, self.rejected_rate) != (ADDRESS_RATE, REJECTED_RATE);
        is_chosen && listen.ip().is_loopback() && self.trusted_proxies.is_empty()
    }
}

/// A source and a network that its webhooks may come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// The source.
    pub source: String,
    /// The network.
    pub network: Network,
}

impl std::str::FromStr for Allowed {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (source, network) = text.split_once('=').unwrap_or(("", text));
        Ok(Self { source: source.to_owned(), network: network.parse()? })
    }
}

/// The limits at work.
#[derive(Debug)]
pub struct Gate {
    trust: Trust,
    allow: Vec<Allowed>,
    requests: Paces,
    rejections: Paces,
    genuine: Vec<(String, Pace)>,
    since: Stopwatch,
    metrics: GateMetrics,
    /// The log was told of a proxy on this machine that is not named.
    is_told: AtomicBool,
}

/// Whom a request is counted against, if addresses tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender(Option<IpAddr>);

impl Gate {
    /// The limits for these sources.
    pub fn new<'a>(
        limits: &Limits,
        sources: impl Iterator<Item = &'a str>,
        metrics: GateMetrics,
    ) -> Self {
        let pace =
            |source: &str| (source.to_owned(), Pace::new(Rate::per_second(limits.source_rate)));
        Self {
            trust: Trust {
                proxies: limits.trusted_proxies.clone(),
                header: limits.forwarded_header,
            },
            allow: limits.allow.clone(),
            requests: Paces::new(Rate::per_second(limits.address_rate)),
            rejections: Paces::new(Rate::per_second(limits.rejected_rate)),
            genuine: sources.map(pace).collect(),
            since: Stopwatch::start(),
            metrics,
            is_told: AtomicBool::new(false),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Lets a request in, or says what to answer it. `door` is the one it asks for, if there is one.
    pub fn enter(
        &self,
        peer: IpAddr,
        headers: &HeaderMap,
        door: Option<&Door>,
    ) -> Result<Sender, Answer> {
        let client = self.client(peer, headers);
        if door.is_some_and(|door| !self.admits(&door.source.name, client)) {
            self.metrics.not_allowed.inc();
            return Err(Answer::Forbidden);
        }
        let Some(address) = client.map(party) else { return Ok(Sender(None)) };
        if address.is_loopback() {
            self.look_for_a_tunnel(headers);
            return Ok(Sender(None));
        }
        let now = self.now();
        let limits =
            [(&self.requests, &self.metrics.address), (&self.rejections, &self.metrics.rejected)];
        for (limit, counter) in limits {
            limit.check(address, now).map_err(|empty| {
                counter.inc();
                too_many(empty)
            })?;
        }
        self.requests.charge(address, now);
        Ok(Sender(Some(address)))
    }

    /// From where a request of `peer` really comes; `None` where a trusted proxy does not say.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
        self.trust.client(peer, headers)
    }

    /// Says once that requests come through a proxy on this machine that is not named. Named ones are
    /// never the client.
    fn look_for_a_tunnel(&self, headers: &HeaderMap) {
        if self.is_told.load(Relaxed) {
            return;
        }
        let Some(header) = FORWARDING.into_iter().find(|name| headers.contains_key(*name)) else {
            return;
        };
        if !self.is_told.swap(true, Relaxed) {
            tracing::warn!(
                "webhooks come through a proxy or tunnel on this machine (they have `{header}`) that is \
                 not named: INGRESS_ADDRESS_RATE and INGRESS_REJECTED_RATE count none of them, \
                 INGRESS_ALLOW sees 127.0.0.1; name it with INGRESS_TRUSTED_PROXIES=127.0.0.1,::1 if it \
                 writes the header of INGRESS_FORWARDED_HEADER itself"
            );
        }
    }

    fn admits(&self, source: &str, client: Option<IpAddr>) -> bool {
        let mut networks = self.allow.iter().filter(|allowed| allowed.source == source).peekable();
        networks.peek().is_none()
            || client.is_some_and(|client| networks.any(|allowed| allowed.network.has(client)))
    }

    /// Counts an answer against whom it goes to.
    pub fn answered(&self, sender: Sender, answer: &Answer) {
        let Sender(Some(address)) = sender else { return };
        if let Answer::Rejected(_) | Answer::KeyHeld(_) | Answer::Incomplete | Answer::NotFound =
            answer
        {
            self.rejections.charge(address, self.now());
        }
    }

    /// Lets a genuine request on, or says what to answer it.
    pub fn genuine(&self, source: &str) -> Result<(), Answer> {
        let Some((_, pace)) = self.genuine.iter().find(|(name, _)| name == source) else {
            return Ok(());
        };
        pace.take(self.now()).map_err(|empty| {
            self.metrics.source.inc();
            too_many(empty)
        })
    }
}

/// Seconds to wait, rounded up.
fn too_many(Empty(wait): Empty) -> Answer {
    Answer::TooMany(wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)))
}

#[cfg(test)]
mod tests;
