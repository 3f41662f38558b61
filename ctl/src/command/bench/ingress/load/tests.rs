use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use signatures::Secret;

use super::*;

/// A server that answers each request after a pause; the second of all only when it is told.
fn server(answer: &'static str, stall: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let stall = if number == 0 { stall } else { Duration::ZERO };
            thread::spawn(move || serve(stream.unwrap(), answer, stall));
        }
    });
    addr
}

fn serve(mut stream: TcpStream, answer: &str, stall: Duration) {
    let mut bytes = [0; 4096];
    while stream.read(&mut bytes).is_ok_and(|length| length > 0) {
        silence(stall);
        stream.write_all(answer.as_bytes()).unwrap();
    }
}

/// What a server that stalls does.
fn silence(time: Duration) {
    #[expect(
        clippy::disallowed_methods,
        reason = "the server of this test has a thread of its own"
    )]
    thread::sleep(time);
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";

fn requests(count: usize) -> Requests {
    Requests::new(count, &Secret::new("secret").unwrap())
}

#[test]
fn a_closed_loop_sends_all_and_counts_every_answer() {
    let mut sender = Sender::connect(server(OK, Duration::ZERO), 4).unwrap();
    let pace = Pace::Closed(Duration::from_mins(1));
    let outcome = sender.send(&requests(200), pace).unwrap();
    assert_eq!(outcome.latencies_us.len(), 200);
    assert!(outcome.per_second() > 0);
}

#[test]
fn a_stall_is_charged_to_every_request_that_was_due_in_it() {
    let stall = Duration::from_millis(100);
    let mut sender = Sender::connect(server(OK, stall), 1).unwrap();
    let outcome = sender.send(&requests(4), Pace::Open(Duration::from_millis(1))).unwrap();
    // Each was answered 100 ms after it was sent; the last was due 3 ms after the first.
    let expect = [100_000, 199_000, 298_000, 397_000];
    for (latency, expect) in outcome.latencies_us.iter().zip(expect) {
        assert!(*latency >= expect, "{:?}", outcome.latencies_us);
    }
}

#[test]
fn an_open_loop_keeps_to_its_clock() {
    let mut sender = Sender::connect(server(OK, Duration::ZERO), 2).unwrap();
    let outcome = sender.send(&requests(50), Pace::Open(Duration::from_millis(2))).unwrap();
    assert_eq!(outcome.latencies_us.len(), 50);
    assert!(outcome.elapsed >= Duration::from_millis(98), "{:?}", outcome.elapsed);
}

#[test]
fn anything_but_200_is_a_failure() {
    let refusal = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n";
    let mut sender = Sender::connect(server(refusal, Duration::ZERO), 1).unwrap();
    let error = sender.send(&requests(1), Pace::Closed(Duration::from_mins(1))).unwrap_err();
    assert!(error.to_string().contains("401"), "{error}");
}

#[test]
fn ranks_are_of_a_thousand() {
    let outcome = |latencies_us| Outcome { latencies_us, elapsed: Duration::from_secs(2) };
    let thousand = outcome((1..=1000).collect());
    let at = |rank| thousand.per_mille(rank);
    assert_eq!([at(500), at(990), at(999), at(1000)], [500, 990, 999, 1000]);
    assert_eq!(outcome(vec![7]).per_mille(500), 7);
    assert_eq!((outcome(vec![]).per_mille(500), thousand.per_second()), (0, 500));
}
