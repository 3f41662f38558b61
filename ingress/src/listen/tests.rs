use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::testing::{Broker, Reply, TestIngress, limits, up_body, up_signature};

const SHORT: Duration = Duration::from_millis(40);

/// A good request of Up's that leaves its connection open.
fn up_request(id: &str) -> Vec<u8> {
    let body = up_body(id, None);
    let signature = up_signature("up", &body);
    let length = body.len();
    format!(
        "POST /webhooks/up HTTP/1.1\r\nhost: a\r\nx-up-authenticity-signature: {signature}\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Reads the next answer of a connection that stays open.
async fn answer(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"}") {
        bytes.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(bytes).unwrap()
}

/// Waits until the other side closes; what it said before.
async fn closed(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    if let Err(error) = stream.read_to_end(&mut bytes).await {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn a_connection_that_sends_its_head_slowly_or_not_at_all_is_closed() {
    let slow = Limits { head_timeout: SHORT, ..limits() };
    let ingress = TestIngress::with_limits(slow).await;
    let silent = ingress.connect().await;
    let mut dripping = ingress.connect().await;
    let head = b"POST /webhooks/up HTTP/1.1\r\nhost: a\r\nx: ";
    dripping.write_all(head).await.unwrap();
    assert_eq!(closed(silent).await, "");
    // Each byte is in time; the head is not.
    while dripping.write_all(b"a").await.is_ok() {
        tokio::time::sleep(SHORT / 8).await;
    }
    assert_eq!(ingress.shared.metrics.connections.timed_out.get(), 2);
}

/// A peer that says nothing, here what the test is about.
async fn silence(time: Duration) {
    tokio::time::sleep(time).await;
}

#[tokio::test]
async fn a_connection_stays_open_between_requests_for_its_idle_time() {
    let idle = Limits { head_timeout: SHORT, idle_timeout: SHORT * 8, ..limits() };
    let ingress = TestIngress::with_limits(idle).await;
    let mut stream = ingress.connect().await;
    stream.write_all(&up_request("e-1")).await.unwrap();
    assert!(answer(&mut stream).await.contains("200 OK"));
    // Longer than a head may take.
    silence(SHORT * 3).await;
    stream.write_all(&up_request("e-2")).await.unwrap();
    assert!(answer(&mut stream).await.contains("200 OK"));
    assert_eq!(closed(stream).await, "");
}

#[tokio::test]
async fn a_slow_body_is_bounded_by_its_own_time_and_not_by_the_head_s() {
    let slow = Limits { head_timeout: SHORT, idle_timeout: SHORT, ..limits() };
    let ingress = TestIngress::with_limits(slow).await;
    let request = up_request("e-1");
    let (first, last) = request.split_at(request.len() - 1);
    let mut stream = ingress.connect().await;
    stream.write_all(first).await.unwrap();
    silence(SHORT * 3).await;
    stream.write_all(last).await.unwrap();
    assert!(answer(&mut stream).await.contains("200 OK"));
}

#[tokio::test]
async fn one_connection_too_many_is_closed_and_others_are_served() {
    let few = Limits { connections_max: 2, ..limits() };
    let ingress = TestIngress::with_limits(few).await;
    let mut streams = [ingress.connect().await, ingress.connect().await];
    for (stream, id) in streams.iter_mut().zip(["e-1", "e-2"]) {
        stream.write_all(&up_request(id)).await.unwrap();
        assert!(answer(stream).await.contains("200 OK"));
    }
    assert_eq!(closed(ingress.connect().await).await, "");
    assert!(ingress.counts("webhook_connections 2"));
    assert!(ingress.counts("webhook_connections_refused_total 1"));
    drop(streams);
    while !ingress.counts("webhook_connections 0") {
        tokio::task::yield_now().await;
    }
    assert_eq!(ingress.post_up("up", &up_body("e-3", None)).await.status, 200);
}

#[tokio::test]
async fn requests_whose_end_can_be_read_in_two_ways_are_refused_and_nothing_after_them_is_read() {
    let ingress = TestIngress::start().await;
    let hidden = String::from_utf8(up_request("hidden")).unwrap();
    let chunked = format!("0\r\n\r\n{hidden}");
    let both = [
        "content-length: 5\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
        "content-length: 5\r\ncontent-length: 5\r\n",
        "content-length: 5\r\ncontent-length: 6\r\n",
        "content-length: +5\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
        "transfer-encoding: xchunked\r\n",
        "transfer-encoding : chunked\r\n",
        "x: a\r\n content-length: 5\r\n",
        "x: a\ncontent-length: 5\r\n",
    ];
    for fields in both {
        let head = format!("POST /webhooks/up HTTP/1.1\r\nhost: a\r\n{fields}\r\n");
        let mut stream = ingress.connect().await;
        stream.write_all(format!("{head}{chunked}").as_bytes()).await.unwrap();
        let said = closed(stream).await;
        assert_eq!(said.matches("HTTP/1.1").count(), 1, "{fields}: {said}");
        assert!(said.starts_with("HTTP/1.1 400 "), "{fields}: {said}");
    }
    assert_eq!(ingress.records(), []);
}

#[tokio::test]
async fn a_request_without_a_host_or_with_two_or_with_a_fragment_is_refused() {
    let ingress = TestIngress::start().await;
    let good = String::from_utf8(up_request("e-1")).unwrap();
    for bad in [
        good.replace("host: a\r\n", ""),
        good.replace("host: a\r\n", "host: a\r\nHost: a\r\n"),
        good.replace("host: a\r\n", "host: a\r\nx: y\r\nHOST: b\r\n"),
        good.replace("/webhooks/up", "/webhooks/up#x"),
    ] {
        let mut stream = ingress.connect().await;
        stream.write_all(bad.as_bytes()).await.unwrap();
        let said = closed(stream).await;
        assert!(said.starts_with("HTTP/1.1 400 "), "{bad}: {said}");
    }
    assert_eq!(ingress.records(), []);
    assert!(ingress.counts("webhook_malformed_total 4"));
    // The older version has no hosts.
    let mut stream = ingress.connect().await;
    let old = good.replace("HTTP/1.1", "HTTP/1.0").replace("host: a\r\n", "");
    stream.write_all(old.as_bytes()).await.unwrap();
    assert!(closed(stream).await.contains(" 200 OK"));
}

#[tokio::test]
async fn good_requests_before_a_malformed_one_are_answered_first_and_nothing_behind_it_is_read() {
    let ingress = TestIngress::start().await;
    let bad = "POST /webhooks/up HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\
               transfer-encoding: chunked\r\n\r\nabc";
    let requests =
        [up_request("e-1"), up_request("e-2"), bad.as_bytes().to_vec(), up_request("hidden")];
    let whole = requests.concat();
    // In one piece, cut inside of the malformed head, and byte by byte.
    let begin = requests[0].len() + requests[1].len();
    for cuts in [vec![], vec![begin + 1], vec![begin + 60], (1..whole.len()).collect()] {
        let mut stream = ingress.connect().await;
        let mut from = 0;
        for cut in cuts.into_iter().chain([whole.len()]) {
            // The answer to the malformed one may come before the rest is sent.
            if stream.write_all(&whole[from..cut]).await.is_err() {
                break;
            }
            from = cut;
        }
        let said = closed(stream).await;
        let answers = said.split("HTTP/1.1 ").skip(1);
        let statuses: Vec<_> = answers.map(|it| it.split(' ').next().unwrap()).collect();
        assert_eq!(statuses, ["200", "200", "400"], "{said}");
    }
    let ids: Vec<_> = ingress.records().into_iter().map(|record| record.value.event_id).collect();
    assert_eq!(ids, ["e-1", "e-2"]);
}

#[tokio::test]
async fn a_sender_that_closes_its_side_gets_its_answer_and_its_connection_ends() {
    let ingress = TestIngress::start().await;
    ingress.broker(Broker::Hangs);
    let mut stream = ingress.connect().await;
    stream.write_all(&up_request("e-1")).await.unwrap();
    stream.shutdown().await.unwrap();
    while ingress.topic.held.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    ingress.topic.held.lock().unwrap().remove(0).accepted();
    assert!(closed(stream).await.starts_with("HTTP/1.1 200 OK"));
    // One that closes it before, or within, a request is not waited for.
    let part = &up_request("e-2")[..80];
    for begin in [&b""[..], part] {
        let mut stream = ingress.connect().await;
        stream.write_all(begin).await.unwrap();
        stream.shutdown().await.unwrap();
        let said = closed(stream).await;
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 400 "), "{said}");
    }
    while !ingress.counts("webhook_connections 0") {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_body_in_chunks_is_taken_and_is_the_last_of_its_connection() {
    let ingress = TestIngress::start().await;
    let body = up_body("e-1", None);
    let (signature, length) = (up_signature("up", &body), body.len());
    let request = format!(
        "POST /webhooks/up HTTP/1.1\r\nhost: a\r\nx-up-authenticity-signature: {signature}\r\n\
         transfer-encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n"
    );
    let mut stream = ingress.connect().await;
    let both = [request.into_bytes(), up_request("behind")].concat();
    stream.write_all(&both).await.unwrap();
    let reply = Reply::read(stream).await;
    assert!(reply.status == 200 && reply.head.contains("connection: close"), "{}", reply.head);
    assert_eq!(ingress.records().len(), 1);
}

#[tokio::test]
async fn a_head_of_too_many_fields_or_bytes_is_refused() {
    let ingress = TestIngress::start().await;
    let many = "x: y\r\n".repeat(101);
    let large = format!("x: {}\r\n", "y".repeat(framing::HEAD_BYTES_MAX));
    for fields in [many, large] {
        let head = format!("POST /webhooks/up HTTP/1.1\r\nhost: a\r\n{fields}\r\n");
        let mut stream = ingress.connect().await;
        stream.write_all(head.as_bytes()).await.unwrap();
        let said = closed(stream).await;
        assert!(said.starts_with("HTTP/1.1 431 "), "{said}");
    }
}

#[tokio::test]
async fn a_stop_closes_idle_connections_and_finishes_requests_in_flight() {
    let mut ingress = TestIngress::start().await;
    ingress.broker(Broker::Hangs);
    let idle = ingress.connect().await;
    let mut busy = ingress.connect().await;
    busy.write_all(&up_request("e-1")).await.unwrap();
    while ingress.topic.held.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    ingress.stop.cancel();
    assert_eq!(closed(idle).await, "");
    assert!(!ingress.server.is_finished());
    ingress.topic.held.lock().unwrap().remove(0).accepted();
    assert!(closed(busy).await.starts_with("HTTP/1.1 200 OK"));
    (&mut ingress.server).await.unwrap();
}

#[tokio::test]
async fn http_2_is_spoken_by_prior_knowledge() {
    let ingress = TestIngress::start().await;
    let stream = hyper_util::rt::TokioIo::new(ingress.connect().await);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(executor, stream).await.unwrap();
    let tasks = TaskTracker::new();
    let connection = tasks.spawn(connection);
    let request = warp::http::Request::get("http://a/livez").body(String::new()).unwrap();
    let response = client.send_request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    drop(client);
    connection.await.unwrap().unwrap();
}
