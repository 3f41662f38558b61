//! Until when a connection must have done something, and whether it has to end.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::framing::Framing;
use crate::clock::Stopwatch;

/// What a connection is doing, written by its stream and its requests, read by its watchdog. While a
/// request is being answered there is no deadline here: its body and its record have their own.
#[derive(Debug)]
pub(super) struct Pulse {
    since: Stopwatch,
    head: Duration,
    idle: Duration,
    /// Milliseconds since `since`; the largest number while there is none.
    deadline: AtomicU64,
    requests: AtomicUsize,
    /// Requests that have begun to be answered.
    begun: AtomicU64,
    in_head: AtomicBool,
    /// Requests that may be believed: all, or those before the first that may not.
    good: AtomicU64,
    order: AtomicU8,
    /// Who is to hear of a new order.
    connection: AtomicWaker,
}

/// What a connection is told by its watchdog; each goes further than the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Nothing.
    Stay,
    /// To end when it has finished what it had begun.
    Leave,
    /// To end now.
    Cut,
}

impl Pulse {
    /// A connection that has just been opened.
    pub(super) fn new(head: Duration, idle: Duration) -> Arc<Self> {
        let pulse = Self {
            since: Stopwatch::start(),
            head,
            idle,
            deadline: AtomicU64::new(0),
            requests: AtomicUsize::new(0),
            begun: AtomicU64::new(0),
            in_head: AtomicBool::new(false),
            good: AtomicU64::new(u64::MAX),
            order: AtomicU8::new(0),
            connection: AtomicWaker::new(),
        };
        pulse.due_in(head);
        Arc::new(pulse)
    }

    fn due_in(&self, time: Duration) {
        let deadline = self.since.elapsed().saturating_add(time);
        self.deadline.store(u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX), SeqCst);
    }

    /// Whether the deadline has passed.
    pub(super) fn is_overdue(&self) -> bool {
        self.since.elapsed().as_millis() > u128::from(self.deadline.load(SeqCst))
    }

    /// What the connection was told last.
    pub(super) fn order(&self) -> Order {
        match self.order.load(SeqCst) {
            0 => Order::Stay,
            1 => Order::Leave,
            _ => Order::Cut,
        }
    }

    /// Tells the connection to end.
    pub(super) fn tell(&self, order: Order) {
        let number = match order {
            Order::Stay => 0,
            Order::Leave => 1,
            Order::Cut => 2,
        };
        self.order.store(number, SeqCst);
        self.connection.wake();
    }

    /// Whom to wake when there is a new order. To be said before asking for the order.
    pub(super) fn wakes(&self, connection: &Waker) {
        self.connection.register(connection);
    }

    /// A request has begun; dropping what this gives ends it.
    pub(super) fn request(self: &Arc<Self>) -> Answering {
        self.requests.fetch_add(1, SeqCst);
        self.deadline.store(u64::MAX, SeqCst);
        // Those of HTTP/1 are answered one after the other, in the order of their heads.
        let before = self.begun.fetch_add(1, SeqCst);
        let is_refused = before >= self.good.load(SeqCst);
        Answering { pulse: Arc::clone(self), is_refused }
    }

    /// A head came that is not to be believed, behind so many that may be. Each of these is one request
    /// to the HTTP library too, or else the connection's end.
    fn refuse_after(&self, good: u64) {
        self.good.fetch_min(good, SeqCst);
    }

    fn read(&self, in_head: bool) {
        let began = in_head && !self.in_head.swap(in_head, SeqCst);
        if !in_head {
            self.in_head.store(false, SeqCst);
        }
        if began && self.requests.load(SeqCst) == 0 {
            self.due_in(self.head);
        }
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct Answering {
    pulse: Arc<Pulse>,
    is_refused: bool,
}

impl Answering {
    /// Whether its head is not to be believed, or follows one that is not.
    pub(super) fn is_refused(&self) -> bool {
        self.is_refused
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let pulse = &self.pulse;
        if pulse.requests.fetch_sub(1, SeqCst) == 1 {
            // Of a request that was sent behind this one the head may be here in part.
            let in_head = pulse.in_head.load(SeqCst);
            pulse.due_in(if in_head { pulse.head } else { pulse.idle });
        }
    }
}

/// A stream whose bytes are seen as they are read.
#[derive(Debug)]
pub(super) struct Watched<S> {
    stream: S,
    framing: Framing,
    pulse: Arc<Pulse>,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, pulse: Arc<Pulse>) -> Self {
        Self { stream, framing: Framing::new(), pulse }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let this = &mut *self;
        let read = Pin::new(&mut this.stream).poll_read(cx, buffer);
        let fresh = buffer.filled().get(before..).unwrap_or_default();
        if !fresh.is_empty() {
            if this.framing.see(fresh).is_err() {
                this.pulse.refuse_after(this.framing.heads());
            }
            this.pulse.read(this.framing.is_in_head());
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
