//! What happens to one webhook, from its head to its answer.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Buf;
use futures_util::Stream;
use signatures::Reason;
use streams::Clock;
use warp::http::HeaderMap;
use warp::http::header::{CONTENT_LENGTH, EXPECT};

use crate::answer::Answer;
use crate::body::{self, BodyError, BodyLimits};
use crate::budget::Budget;
use crate::clock::Stopwatch;
use crate::dedupe::{BodyPrint, Claim, Dedupe, EventKey, Fate, Pending};
use crate::door::Door;
use crate::gate::Gate;
use crate::metrics::Metrics;
use crate::publish::Publisher;
use crate::readiness::Readiness;
use crate::recent::Recent;
use crate::record::RawRecord;
use crate::trace;

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

/// Takes one webhook at `door` and says what to answer. The answer is counted, a rejection logged
/// with its source and reason and nothing of its content.
pub async fn receive<P, S, B, E>(
    ingress: &Ingress<P>,
    door: &Door,
    headers: &HeaderMap,
    body: S,
) -> Answer
where
    P: Publisher,
    S: Stream<Item = Result<B, E>>,
    B: Buf,
{
    let answer = take(ingress, door, headers, body).await;
    if let Answer::Rejected(reason) = answer {
        tracing::warn!(source = door.source.name, %reason, "webhook rejected");
    }
    door.metrics.count(&answer);
    answer
}

async fn take<P, S, B, E>(ingress: &Ingress<P>, door: &Door, headers: &HeaderMap, body: S) -> Answer
where
    P: Publisher,
    S: Stream<Item = Result<B, E>>,
    B: Buf,
{
    let declared = content_length(headers);
    // A sender that asks before it sends is told before it sends.
    if headers.contains_key(EXPECT) && body::is_over(declared, ingress.body.bytes) {
        return Answer::Rejected(Reason::BodyTooLarge);
    }
    // Held until the answer: until then the body is, in the record that is on its way.
    let mut share = ingress.bodies.share();
    let body = match body::read(body, declared, ingress.body, &mut share).await {
        Ok(body) => body,
        Err(BodyError::Crowded) => return Answer::Unavailable,
        Err(BodyError::TooLarge) => return Answer::Rejected(Reason::BodyTooLarge),
        Err(BodyError::Slow | BodyError::Broken) => return Answer::Incomplete,
    };
    let since_body = Stopwatch::start();
    let received_at = ingress.clock.now();
    let judged = door.judge(headers, &body, received_at);
    door.metrics.verified_in(since_body.elapsed());
    let (verified, event) = match judged {
        Ok(judged) => judged,
        Err(reason) => return Answer::Rejected(reason),
    };
    door.metrics.events.genuine(&verified, received_at, body.len());
    if let Err(answer) = ingress.gate.genuine(&door.source.name) {
        return answer;
    }
    // Before the raw topic was read, a duplicate could pass for new.
    let publisher = match ingress.publisher.get() {
        Some(publisher) if ingress.readiness.missing().is_none() => publisher,
        _ => return Answer::Unavailable,
    };
    let traceparent = trace::continued(headers);
    let record = RawRecord::new(&door.source, verified, event, body, received_at, traceparent);
    let answer = publish(ingress, publisher, &record, door).await;
    if let Answer::Received(_) = answer {
        door.metrics.accepted_in(since_body.elapsed(), received_at);
        ingress.recent.keep(&record);
    }
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
    let key = EventKey::new(&value.source, &value.event_id);
    let Some(print) = BodyPrint::from_hex(&value.body_sha256) else { return Answer::Unavailable };
    match ingress.dedupe.claim(key, print, value.received_at) {
        Claim::Known => Answer::Replayed(success_code),
        Claim::Conflict => Answer::Rejected(Reason::Replayed),
        Claim::InFlight(pending) => match settled(pending, ingress.produce_deadline).await {
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
            match settled(pending, ingress.produce_deadline).await {
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
