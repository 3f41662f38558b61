//! Senders that take their time, beside a provider: they hold connections, and nothing else.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use harness::{Audit, Doors, Provider, wait_until};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

const SECRET: &str = "secret-of-a-test";
/// Slow connections at any time, half of them slow with the head and half with the body.
const SLOW: usize = 400;
/// Bytes of a request come this far apart, so that it would take longer than anybody waits.
const BYTE_EVERY: Duration = Duration::from_millis(200);
const SENDERS: usize = 4;
const EVENTS: usize = 300;
const DEADLINE: Duration = Duration::from_mins(1);

const HEAD: &[u8] = b"POST /webhooks/up HTTP/1.1\r\nhost: a\r\nx-slow: ";
const HEAD_OF_BODY: &[u8] =
    b"POST /webhooks/up HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\n{";

/// What slow senders share.
#[derive(Debug, Default)]
struct Score {
    open: AtomicUsize,
    cut: AtomicUsize,
    stop: AtomicBool,
}

/// Opens a connection, begins a request and goes on with a byte now and then; begins again when it is
/// cut off.
async fn dawdle(addr: String, begin: &'static [u8], score: Arc<Score>) -> anyhow::Result<()> {
    while !score.stop.load(Ordering::Relaxed) {
        let mut stream = TcpStream::connect(&addr).await?;
        score.open.fetch_add(1, Ordering::Relaxed);
        let mut pace = interval(BYTE_EVERY);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_open = stream.write_all(begin).await.is_ok();
        let mut answer = [0; 1024];
        while is_open && !score.stop.load(Ordering::Relaxed) {
            is_open = tokio::select! {
                _ = pace.tick() => stream.write_all(b"a").await.is_ok(),
                read = stream.read(&mut answer) => read.is_ok_and(|bytes| bytes > 0),
            };
        }
        score.open.fetch_sub(1, Ordering::Relaxed);
        score.cut.fetch_add(usize::from(!is_open), Ordering::Relaxed);
    }
    Ok(())
}

#[tokio::test]
async fn slow_senders_are_cut_off_and_cost_a_provider_nothing() -> anyhow::Result<()> {
    let flags = ["--head-timeout", "3s", "--body-timeout", "3s"];
    let mut doors = Doors::open("ingress_slow", 1, SECRET, &flags).await?;
    doors.start().await?;
    let url = doors.replicas[0].service.url("");
    let addr = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let score = Arc::new(Score::default());
    let mut slow = JoinSet::new();
    for number in 0..SLOW {
        let begin = if number % 2 == 0 { HEAD } else { HEAD_OF_BODY };
        slow.spawn(dawdle(addr.clone(), begin, Arc::clone(&score)));
    }
    wait_until("the slow ones", DEADLINE, async || Ok(score.open.load(Ordering::Relaxed) == SLOW))
        .await?;

    let provider = Provider::new(doors.urls(), SECRET)?;
    let senders = provider.begin(SENDERS);
    wait_until("webhooks beside them, and each cut off", DEADLINE, async || {
        Ok(provider.taken() >= EVENTS && score.cut.load(Ordering::Relaxed) >= SLOW)
    })
    .await?;
    let deliveries = provider.end(senders).await?;
    score.stop.store(true, Ordering::Relaxed);
    while let Some(ended) = slow.join_next().await {
        ended??;
    }

    let tries = deliveries.iter().map(|delivery| delivery.replies.len());
    assert_eq!(tries.max(), Some(1), "no webhook had to be sent twice");
    let audit = Audit::of(&doors.raw().await?, &deliveries);
    assert!(audit.agrees() && audit.second_copies == 0, "{audit:#?}");
    doors.stop().await
}
