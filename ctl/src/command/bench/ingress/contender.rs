//! A server under load: the ingress, or what it is held against.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use signatures::Secret;

use super::load::{Outcome, Pace, Sender};
use super::requests::Requests;
use super::usage;
use crate::pipeline::Service;

/// Connections of the closed loop, and of the open one.
const CONNECTIONS: usize = 64;

/// Connections at which memory is looked at.
const CONNECTIONS_MANY: usize = 256;

/// Requests that are sent before anything is measured: threads, pools and the producer's connections
/// come with the first ones.
const WARM_UP_REQUESTS: usize = 5_000;
const WARM_UP_TIME: Duration = Duration::from_secs(3);

/// How long 256 connections are busy before memory is looked at.
const CROWD_TIME: Duration = Duration::from_secs(2);

/// The open loop's requests a second.
pub(super) const RATE: u32 = 1_000;

/// What one round showed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Figures {
    /// Answers a second of the closed loop.
    pub(super) per_second: u64,
    /// CPU time for ten thousand requests of the closed loop, microseconds.
    pub(super) cpu_us: u64,
    /// Latencies of the open loop, microseconds.
    pub(super) p50_us: u64,
    pub(super) p99_us: u64,
    pub(super) p999_us: u64,
    /// CPU time for ten thousand requests of the open loop, microseconds.
    pub(super) open_cpu_us: u64,
}

/// A server that runs.
pub(super) struct Contender {
    service: Service,
    /// Answers a second, so far the most, and all answers.
    most: u64,
    accepted: u64,
}

impl Contender {
    /// Starts it and sends it a first few thousand requests.
    pub(super) async fn start(mut service: Service, secret: &Secret) -> anyhow::Result<Self> {
        service.start().await?;
        let mut contender = Self { service, most: 0, accepted: 0 };
        let requests = Requests::new(WARM_UP_REQUESTS, secret);
        contender.load(CONNECTIONS, requests, Pace::Closed(WARM_UP_TIME)).await?;
        Ok(contender)
    }

    /// One round: a closed loop, then an open one, each for so many seconds.
    pub(super) async fn round(&mut self, secret: &Secret, seconds: u32) -> anyhow::Result<Figures> {
        let time = Duration::from_secs(seconds.into());
        // Twice as many as it has ever taken, so that time ends the loop.
        let count =
            usize::try_from(self.most.saturating_mul(2))?.saturating_mul(usize::try_from(seconds)?);
        let requests = Requests::new(count, secret);
        let (closed, cpu_us) = self.load(CONNECTIONS, requests, Pace::Closed(time)).await?;
        let requests = Requests::new(usize::try_from(RATE.saturating_mul(seconds))?, secret);
        let interval = Duration::from_secs(1) / RATE;
        let (open, open_cpu_us) = self.load(CONNECTIONS, requests, Pace::Open(interval)).await?;
        Ok(Figures {
            per_second: closed.per_second(),
            cpu_us,
            p50_us: open.per_mille(500),
            p99_us: open.per_mille(990),
            p999_us: open.per_mille(999),
            open_cpu_us,
        })
    }

    /// Resident memory with 256 connections that are open and were just busy, KiB.
    pub(super) async fn resident_kib(&mut self, secret: &Secret) -> anyhow::Result<u64> {
        let (address, pid) = (self.service.address(), self.pid()?);
        let count = usize::try_from(self.most.saturating_mul(2 * CROWD_TIME.as_secs()))?;
        let requests = Requests::new(count, secret);
        let resident = tokio::task::spawn_blocking(move || {
            let mut sender = Sender::connect(address, CONNECTIONS_MANY)?;
            let outcome = sender.send(&requests, Pace::Closed(CROWD_TIME))?;
            anyhow::Ok((outcome, usage::resident_kib(pid)?))
        });
        let (outcome, resident) = resident.await??;
        self.count(&outcome)?;
        Ok(resident)
    }

    /// Requests that it has taken so far, each with an id of its own.
    pub(super) fn accepted(&self) -> u64 {
        self.accepted
    }

    fn count(&mut self, outcome: &Outcome) -> anyhow::Result<()> {
        let answers = u64::try_from(outcome.latencies_us.len())?;
        self.accepted = self.accepted.saturating_add(answers);
        Ok(())
    }

    /// Ends it.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        self.service.terminate().await?;
        Ok(())
    }

    /// Sends the requests; the outcome, and the server's CPU time for ten thousand, microseconds.
    async fn load(
        &mut self,
        connections: usize,
        requests: Requests,
        pace: Pace,
    ) -> anyhow::Result<(Outcome, u64)> {
        let (address, pid) = (self.service.address(), self.pid()?);
        let sent =
            tokio::task::spawn_blocking(move || send(address, pid, connections, &requests, pace));
        let (outcome, cpu_us) = sent.await?.with_context(|| {
            format!("loading {}; its log: {}", self.service.name(), self.service.log().display())
        })?;
        self.most = self.most.max(outcome.per_second());
        self.count(&outcome)?;
        Ok((outcome, cpu_us))
    }

    fn pid(&self) -> anyhow::Result<u32> {
        self.service.pid().with_context(|| format!("{} does not run", self.service.name()))
    }
}

fn send(
    address: SocketAddr,
    pid: u32,
    connections: usize,
    requests: &Requests,
    pace: Pace,
) -> anyhow::Result<(Outcome, u64)> {
    let mut sender = Sender::connect(address, connections)?;
    let before = usage::cpu(pid)?;
    let outcome = sender.send(requests, pace)?;
    let used = usage::cpu(pid)?.saturating_sub(before).as_micros().saturating_mul(10_000);
    let answers = u128::try_from(outcome.latencies_us.len())?.max(1);
    let cpu_us = u64::try_from(used / answers)?;
    Ok((outcome, cpu_us))
}
