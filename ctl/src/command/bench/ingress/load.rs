//! The sender: one thread, many connections, latencies from when a request was due.
//!
//! A closed loop sends on each connection as soon as its last request is answered, which measures how
//! much a server takes. An open loop sends by the clock, whatever the server does: a request that
//! had to wait, for a free connection or behind a stall, is charged from the moment it was due.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroU64;
use std::os::fd::OwnedFd;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use tokio::time::Instant;

use super::requests::Requests;

/// How long the last answers are waited for.
const LAST_ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// Longest wait for an answer before the clock is looked at.
const WAIT_MAX: Duration = Duration::from_millis(100);

/// Events taken from the system at once.
const EVENTS_MAX: usize = 256;

/// Bytes of an answer. All of them are short.
const ANSWER_BYTES_MAX: usize = 8 * 1024;

/// How requests follow each other.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pace {
    /// As fast as they are answered, for so long.
    Closed(Duration),
    /// One each so often, until there are no more.
    Open(Duration),
}

/// What became of them.
#[derive(Debug)]
pub(super) struct Outcome {
    /// Time of each answer from when its request was due, microseconds, ascending.
    pub(super) latencies_us: Vec<u64>,
    /// From the first request to the last answer.
    pub(super) elapsed: Duration,
}

impl Outcome {
    /// Answers a second.
    pub(super) fn per_second(&self) -> u64 {
        let answers = u128::try_from(self.latencies_us.len()).unwrap_or(u128::MAX);
        let per_second = answers.saturating_mul(1_000_000) / self.elapsed.as_micros().max(1);
        u64::try_from(per_second).unwrap_or(u64::MAX)
    }

    /// The latency that so many of a thousand do not exceed.
    pub(super) fn per_mille(&self, rank: usize) -> u64 {
        let place = self.latencies_us.len().saturating_mul(rank).div_ceil(1000);
        self.latencies_us.get(place.saturating_sub(1)).copied().unwrap_or(0)
    }
}

struct Connection {
    stream: TcpStream,
    /// When the request that waits for its answer was due.
    due: Option<Instant>,
    answer: Vec<u8>,
}

/// The connections to one server.
pub(super) struct Sender {
    connections: Vec<Connection>,
    poll: OwnedFd,
}

impl Sender {
    /// Opens so many connections.
    pub(super) fn connect(server: SocketAddr, connections: usize) -> anyhow::Result<Self> {
        let poll = epoll::create(CreateFlags::CLOEXEC).context("creating an epoll")?;
        let mut sender = Self { connections: Vec::with_capacity(connections), poll };
        for number in 0..u64::try_from(connections)? {
            let stream = TcpStream::connect(server).context("connecting to the server")?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            epoll::add(&sender.poll, &stream, EventData::new_u64(number), EventFlags::IN)?;
            sender.connections.push(Connection { stream, due: None, answer: Vec::new() });
        }
        Ok(sender)
    }

    /// Sends the requests and waits for their answers. Blocks. Any answer but 200 is a failure.
    pub(super) fn send(&mut self, requests: &Requests, pace: Pace) -> anyhow::Result<Outcome> {
        // Half a millisecond is measured: being woken 50 us late by default would be seen.
        rustix::thread::set_current_timer_slack(NonZeroU64::new(1))?;
        let mut free: VecDeque<usize> = (0..self.connections.len()).collect();
        let mut latencies_us = Vec::with_capacity(requests.len());
        let mut events = Vec::with_capacity(EVENTS_MAX);
        let (start, mut next) = (Instant::now(), 0_u32);
        let mut last = start;
        loop {
            let wait = self.send_due(requests, pace, start, &mut next, &mut free)?;
            if free.len() == self.connections.len() && wait.is_none() {
                break;
            }
            ensure!(last.elapsed() < LAST_ANSWER_TIMEOUT, "the server has stopped answering");
            self.wait(wait.unwrap_or(WAIT_MAX), &mut events)?;
            for event in &events {
                let place = usize::try_from(event.data.u64())?;
                let Some(connection) = self.connections.get_mut(place) else { continue };
                if let Some(due) = connection.read()? {
                    last = Instant::now();
                    latencies_us.push(u64::try_from((last - due).as_micros())?);
                    free.push_back(place);
                }
            }
        }
        latencies_us.sort_unstable();
        Ok(Outcome { latencies_us, elapsed: last - start })
    }

    /// Sends what is due, and says how long to wait for what is due next; `None` when nothing is.
    fn send_due(
        &mut self,
        requests: &Requests,
        pace: Pace,
        start: Instant,
        next: &mut u32,
        free: &mut VecDeque<usize>,
    ) -> anyhow::Result<Option<Duration>> {
        while let Some(request) = requests.get(usize::try_from(*next)?) {
            let now = Instant::now();
            let due = match pace {
                Pace::Closed(limit) if now - start >= limit => return Ok(None),
                Pace::Closed(_) => now,
                Pace::Open(interval) => start + interval * *next,
            };
            if due > now {
                return Ok(Some((due - now).min(WAIT_MAX)));
            }
            let Some(place) = free.pop_front() else { return Ok(Some(WAIT_MAX)) };
            let Some(connection) = self.connections.get_mut(place) else { continue };
            let sent = connection.stream.write(request).context("sending a webhook")?;
            ensure!(sent == request.len(), "a connection took a part of a request only");
            connection.due = Some(due);
            *next = next.saturating_add(1);
        }
        Ok(None)
    }

    fn wait(&self, time: Duration, events: &mut Vec<Event>) -> anyhow::Result<()> {
        let timeout = Timespec::try_from(time)?;
        events.clear();
        match epoll::wait(&self.poll, rustix::buffer::spare_capacity(events), Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error).context("waiting for answers"),
        }
    }
}

impl Connection {
    /// Reads what has come; when the answer is whole, gives when its request was due.
    fn read(&mut self) -> anyhow::Result<Option<Instant>> {
        let mut bytes = [0; ANSWER_BYTES_MAX];
        match self.stream.read(&mut bytes) {
            Ok(0) => bail!("the server closed a connection"),
            Ok(length) => self.answer.extend_from_slice(bytes.get(..length).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error).context("reading an answer"),
        }
        ensure!(self.answer.len() <= ANSWER_BYTES_MAX, "an answer is too long");
        if !is_whole(&self.answer)? {
            return Ok(None);
        }
        self.answer.clear();
        let due = self.due.take().context("an answer came that nobody asked for")?;
        Ok(Some(due))
    }
}

/// Whether an answer is there to its end; fails unless it says 200.
fn is_whole(answer: &[u8]) -> anyhow::Result<bool> {
    let Some(head) = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
        return Ok(false);
    };
    let text = std::str::from_utf8(answer.get(..head).unwrap_or_default())?;
    let first = text.lines().next().unwrap_or_default();
    ensure!(first.starts_with("HTTP/1.1 200"), "the server answered `{first}`; expected 200");
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>())
    });
    let length = length.context("an answer has no content-length")??;
    Ok(answer.len() >= head.saturating_add(4).saturating_add(length))
}

#[cfg(test)]
mod tests;
