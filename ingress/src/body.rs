//! Reads a request's body within a limit, while it arrives.

use std::time::Duration;

use bytes::Buf;
use futures_util::{Stream, StreamExt as _};

use crate::budget::Share;

/// Bytes reserved before any has arrived: a sender's `Content-Length` is only a claim.
const RESERVED_BYTES_MAX: usize = 16 * 1024;

/// How many times the limit is read and thrown away from a body that is too large, so that an
/// honest sender gets to read its answer instead of a reset connection.
const DISCARDED_LIMITS_MAX: usize = 16;

/// Why there is no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It is over the limit.
    #[error("the body is over the limit")]
    TooLarge,
    /// It did not arrive in time.
    #[error("the body did not arrive in time")]
    Slow,
    /// The connection broke.
    #[error("the connection broke before the body's end")]
    Broken,
    /// All bodies in flight together are over theirs.
    #[error("too many bytes of bodies are in flight")]
    Crowded,
}

/// What bounds a body.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    /// Most bytes.
    pub bytes: usize,
    /// Longest time from the request's head to the body's end.
    pub time: Duration,
}

/// Reads all of `stream`. `declared` is the request's `Content-Length`; never are more than the
/// limit's bytes held, and those that are held are taken from `share`.
pub async fn read<S, B, E>(
    stream: S,
    declared: Option<u64>,
    limits: BodyLimits,
    share: &mut Share<'_>,
) -> Result<Vec<u8>, BodyError>
where
    S: Stream<Item = Result<B, E>>,
    B: Buf,
{
    match tokio::time::timeout(limits.time, collect(stream, declared, limits.bytes, share)).await {
        Ok(read) => read,
        Err(_) if is_over(declared, limits.bytes) => Err(BodyError::TooLarge),
        Err(_) => Err(BodyError::Slow),
    }
}

/// Whether a declared length alone is over the limit.
pub fn is_over(declared: Option<u64>, limit: usize) -> bool {
    declared.is_some_and(|length| usize::try_from(length).map_or(true, |length| length > limit))
}

async fn collect<S, B, E>(
    stream: S,
    declared: Option<u64>,
    limit: usize,
    share: &mut Share<'_>,
) -> Result<Vec<u8>, BodyError>
where
    S: Stream<Item = Result<B, E>>,
    B: Buf,
{
    let mut stream = std::pin::pin!(stream);
    let mut over = is_over(declared, limit);
    let expected = declared.and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
    let mut body = Vec::with_capacity(expected.min(limit).min(RESERVED_BYTES_MAX));
    let mut discarded = 0_usize;
    while let Some(chunk) = stream.next().await {
        // A sender that stops after its body was refused has understood.
        let Ok(mut chunk) = chunk else {
            return Err(if over { BodyError::TooLarge } else { BodyError::Broken });
        };
        over = over || chunk.remaining() > limit.saturating_sub(body.len());
        if over {
            body = Vec::new();
            discarded = discarded.saturating_add(chunk.remaining());
            if discarded > limit.saturating_mul(DISCARDED_LIMITS_MAX) {
                return Err(BodyError::TooLarge);
            }
            continue;
        }
        if !share.grow(chunk.remaining()) {
            return Err(BodyError::Crowded);
        }
        while chunk.has_remaining() {
            let part = chunk.chunk();
            body.extend_from_slice(part);
            let length = part.len();
            chunk.advance(length);
        }
    }
    if over { Err(BodyError::TooLarge) } else { Ok(body) }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use bytes::Bytes;
    use futures_util::stream;
    use proptest::prelude::*;

    use super::*;
    use crate::budget::Budget;

    const LIMITS: BodyLimits = BodyLimits { bytes: 100, time: Duration::from_secs(5) };

    async fn read<S, B, E>(
        stream: S,
        declared: Option<u64>,
        limits: BodyLimits,
    ) -> Result<Vec<u8>, BodyError>
    where
        S: Stream<Item = Result<B, E>>,
        B: Buf,
    {
        super::read(stream, declared, limits, &mut Budget::new(100).share()).await
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(future)
    }

    proptest! {
        #[test]
        fn a_body_is_taken_whole_exactly_when_it_is_within_the_limit_for_any_chunks(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..6),
            declared in prop::option::of(0_u64..200),
        ) {
            let sent = chunks.concat();
            let items = chunks.into_iter().map(|chunk| Ok::<_, Infallible>(Bytes::from(chunk)));
            let read = run(read(stream::iter(items), declared, LIMITS));
            let fits = sent.len() <= 100 && declared.unwrap_or(0) <= 100;
            prop_assert_eq!(read, if fits { Ok(sent) } else { Err(BodyError::TooLarge) });
        }
    }

    #[test]
    fn an_endless_body_is_refused_without_being_held() {
        let endless = stream::repeat_with(|| Ok::<_, Infallible>(Bytes::from_static(&[7; 64])));
        assert_eq!(run(read(endless, None, LIMITS)), Err(BodyError::TooLarge));
    }

    #[test]
    fn a_body_that_does_not_arrive_in_time_is_slow() {
        let stalled = stream::pending::<Result<Bytes, Infallible>>();
        let limits = BodyLimits { time: Duration::from_millis(5), ..LIMITS };
        assert_eq!(run(read(stalled, Some(10), limits)), Err(BodyError::Slow));
        let stalled = stream::pending::<Result<Bytes, Infallible>>();
        assert_eq!(run(read(stalled, Some(101), limits)), Err(BodyError::TooLarge));
    }

    #[test]
    fn a_body_whose_connection_breaks_is_broken() {
        let items = [Ok(Bytes::from_static(b"half")), Err("reset")];
        assert_eq!(run(read(stream::iter(items), Some(8), LIMITS)), Err(BodyError::Broken));
    }

    #[test]
    fn a_body_that_no_room_is_left_for_is_crowded_out() {
        let budget = Budget::new(10);
        let send = |bytes: usize| {
            let items = [Ok::<_, Infallible>(Bytes::from(vec![7; bytes]))];
            let mut share = budget.share();
            run(super::read(stream::iter(items), None, LIMITS, &mut share))
                .map(|body| (body, share))
        };
        let held = send(6).unwrap();
        assert_eq!(send(5).unwrap_err(), BodyError::Crowded);
        drop(held);
        assert!(send(10).is_ok());
    }
}
