//! What happens to one webhook, from its head to its answer.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Buf;
use futures_util::Stream;
use signatures::source::Event;
use signatures::{Reason, Verified};
use streams::Clock;
use warp::http::header::{CONTENT_LENGTH, EXPECT};
use warp::http::{HeaderMap, Method};

use crate::answer::Answer;
use crate::body::{self, BodyError, BodyLimits};
use crate::budget::{Budget, Share};
use crate::canary;
use crate::capture::{self, Capture};
use crate::clock::Stopwatch;
use crate::deadline::Deadlines;
use crate::dedupe::{BodyPrint, Claim, Dedupe, EventKey, Fate, Pending};
use crate::door::Door;
use crate::gate::Gate;
use crate::key_fetch::{self, Refusal};
use crate::metrics::{KEY_HELD, Metrics};
use crate::publish::Publisher;
use crate::readiness::Readiness;
use crate::recent::Recent;
use crate::record::RawRecord;
use crate::trace::Spans;

/// Everything requests share.
pub struct Ingress<P> {
    /// The sources.
    pub doors: Vec<Door>,
    /// The raw topic; empty until Kafka and the registry have answered.
    pub publisher: OnceLock<P>,
    /// Limits on senders.
    pub gate: Gate,
    /// What was accepted before.
    pub dedupe: Arc<Dedupe>,
    /// Whether requests can be taken.
    pub readiness: Arc<Readiness>,
    /// The last accepted events.
    pub recent: Recent,
    /// The rejected requests, where they are kept.
    pub capture: Capture,
    /// The spans of webhooks.
    pub spans: Spans,
    /// What is counted.
    pub metrics: Metrics,
    /// The time of day.
    pub clock: Box<dyn Clock>,
    /// Bounds of a body.
    pub body: BodyLimits,
    /// Bounds of all bodies together.
    pub bodies: Budget,
    /// How long Kafka may take.
    pub produce_deadline: Duration,
}

impl<P> std::fmt::Debug for Ingress<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ingress").field("doors", &self.doors).finish_non_exhaustive()
    }
}

impl<P> Ingress<P> {
    /// What a request at this door may take.
    fn deadlines(&self, door: &Door) -> Deadlines {
        Deadlines::of(door.source.ack_deadline, self.body.time, self.produce_deadline)
    }
}

/// A request before its body is read.
#[derive(Debug)]
pub struct Head {
    /// Who sent it, or the proxy that passed it on.
    pub peer: IpAddr,
    /// Its method.
    pub method: Method,
    /// Its headers.
    pub headers: HeaderMap,
}

/// A request that its source has signed.
struct Genuine<'a> {
    verified: Verified,
    event: Event,
    body: Vec<u8>,
    received_at: i64,
    since_body: Stopwatch,
    /// Held until the answer: until then the body is, in the record that is on its way.
    _share: Share<'a>,
}

/// Takes one webhook at `door` and says what to answer. The answer is counted, a rejection logged
/// with its source and reason and nothing of its content, ten a second of a source at most.
pub async fn receive<P, S, B, E>(ingress: &Ingress<P>, door: &Door, head: &Head, body: S) -> Answer
where
    P: Publisher,
    S: Stream<Item = Result<B, E>>,
    B: Buf,
{
    let genuine = match judge(ingress, door, head, body).await {
        Ok(genuine) => genuine,
        Err(answer) => {
            complain(door, &answer);
            door.metrics.count(&answer);
            return answer;
        }
    };
    if canary::is_canary(&genuine.event) {
        let received_at = genuine.received_at;
        let answer = canary::answer(take(ingress, door, head, genuine, true).await);
        door.metrics.canary.count(&answer, received_at);
        return answer;
    }
    door.metrics.events.genuine(&genuine.verified, genuine.received_at, genuine.body.len());
    let answer = take(ingress, door, head, genuine, false).await;
    complain(door, &answer);
    door.metrics.count(&answer);
    answer
}

/// Says that a request was rejected, unless many were in this second.
fn complain(door: &Door, answer: &Answer) {
    let reason = match answer {
        Answer::Rejected(reason) => reason.as_str(),
        Answer::KeyHeld(_) => KEY_HELD,
        _ => return,
    };
    let Some(unsaid) = door.complaints.may_say() else { return };
    tracing::warn!(source = door.source.name, %reason, unsaid, "webhook rejected");
}

/// Reads the body and verifies its bytes; only then they are an event.
async fn judge<'a, P, S, B, E>(
    ingress: &'a Ingress<P>,
    door: &Door,
    head: &Head,
    body: S,
) -> Result<Genuine<'a>, Answer>
where
    S: Stream<Item = Result<B, E>>,
    B: Buf,
{
    let Head { peer, headers, .. } = head;
    let reject = |reason, body: Option<&[u8]>, at| {
        let client = ingress.gate.client(*peer, headers);
        let request = capture::Request { peer: *peer, client, headers, body };
        ingress.capture.keep(&door.source, &request, reason, at);
        Answer::Rejected(reason)
    };
    let declared = content_length(headers);
    // A sender that asks before it sends is told before it sends.
    if headers.contains_key(EXPECT) && body::is_over(declared, ingress.body.bytes) {
        return Err(reject(Reason::BodyTooLarge, None, ingress.clock.now()));
    }
    let mut share = ingress.bodies.share();
    let deadlines = ingress.deadlines(door);
    let limits = BodyLimits { time: deadlines.body, ..ingress.body };
    let body = match body::read(body, declared, limits, &mut share).await {
        Ok(body) => body,
        Err(BodyError::Crowded) => return Err(Answer::Unavailable),
        Err(BodyError::TooLarge) => {
            return Err(reject(Reason::BodyTooLarge, None, ingress.clock.now()));
        }
        Err(BodyError::Slow | BodyError::Broken) => return Err(Answer::Incomplete),
    };
    let since_body = Stopwatch::start();
    let received_at = ingress.clock.now();
    let judged = key_fetch::judge(door, headers, &body, received_at, deadlines.keys).await;
    door.metrics.verified_in(since_body.elapsed());
    match judged {
        Ok((verified, event)) => {
            Ok(Genuine { verified, event, body, received_at, since_body, _share: share })
        }
        Err(Refusal::Rejected(reason)) => {
            if reason == Reason::ClockSkew {
                note_skew(door, headers, &body, received_at);
            }
            Err(reject(reason, Some(&body), received_at))
        }
        Err(Refusal::KeyHeld(wait)) => {
            reject(Reason::UnknownKey, Some(&body), received_at);
            Err(Answer::KeyHeld(wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0))))
        }
        Err(Refusal::NoKeys) => Err(Answer::Unavailable),
    }
}

/// Measures by how much a request's time is wrong, where nothing else is: a clock that jumps beyond
/// what is tolerated would be seen in no other request. The time of a forgery says nothing.
fn note_skew(door: &Door, headers: &HeaderMap, body: &[u8], received_at: i64) {
    if let Some((verified, event)) = door.judge_but_for_time(headers, body, received_at)
        && !canary::is_canary(&event)
    {
        door.metrics.events.skewed(&verified, received_at);
    }
}

/// Puts what a genuine request says on the topic, unless it is there.
async fn take<P: Publisher>(
    ingress: &Ingress<P>,
    door: &Door,
    head: &Head,
    genuine: Genuine<'_>,
    is_canary: bool,
) -> Answer {
    if let Err(answer) = ingress.gate.genuine(&door.source.name) {
        return answer;
    }
    // Before the raw topic was read, a duplicate could pass for new.
    let publisher = match ingress.publisher.get() {
        Some(publisher) if ingress.readiness.missing().is_none() => publisher,
        _ => return Answer::Unavailable,
    };
    let Genuine { verified, event, body, received_at, since_body, _share } = genuine;
    let mut trace = ingress.spans.begin(&head.headers, &door.source.path);
    let traceparent = trace.traceparent();
    let mut record = RawRecord::new(&door.source, verified, event, body, received_at, traceparent);
    if is_canary {
        canary::mark(&mut record);
    }
    trace.about(&record);
    let answer = publish(ingress, publisher, &record, door).await;
    match answer {
        Answer::Received(_) if !is_canary => {
            door.metrics.accepted_in(since_body.elapsed(), received_at);
            ingress.recent.keep(&record);
        }
        Answer::Rejected(reason) => {
            let Head { peer, headers, .. } = head;
            let client = ingress.gate.client(*peer, headers);
            let body = Some(&record.value.body[..]);
            let request = capture::Request { peer: *peer, client, headers, body };
            ingress.capture.keep(&door.source, &request, reason, received_at);
        }
        _ => {}
    }
    trace.end(&answer);
    answer
}

/// Publishes the record unless its event is known, and waits for the broker.
async fn publish<P: Publisher>(
    ingress: &Ingress<P>,
    publisher: &P,
    record: &RawRecord,
    door: &Door,
) -> Answer {
    let (value, success_code) = (&record.value, door.source.success_code);
    let deadline = ingress.deadlines(door).produce;
    let key = EventKey::new(&value.source, &value.event_id);
    let Some(print) = BodyPrint::from_hex(&value.body_sha256) else { return Answer::Unavailable };
    match ingress.dedupe.claim(key, print, value.received_at) {
        Claim::Known => Answer::Replayed(success_code),
        Claim::Conflict => Answer::Rejected(Reason::Replayed),
        Claim::InFlight(pending) => match settled(pending, deadline).await {
            Fate::Accepted => Answer::Replayed(success_code),
            Fate::Failed => Answer::Unavailable,
        },
        Claim::New(ticket, pending) => {
            let handed_over = Stopwatch::start();
            if let Err(error) = publisher.publish(record, ticket) {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::debug!("{error}: {}", cause.unwrap_or_default());
                return Answer::Unavailable;
            }
            match settled(pending, deadline).await {
                Fate::Accepted => {
                    door.metrics.events.published_in(handed_over.elapsed());
                    Answer::Received(success_code)
                }
                Fate::Failed => Answer::Unavailable,
            }
        }
    }
}

async fn settled(pending: Pending, deadline: Duration) -> Fate {
    tokio::time::timeout(deadline, pending.fate()).await.unwrap_or(Fate::Failed)
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests;
