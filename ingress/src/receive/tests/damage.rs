//! Many requests that were genuine before something happened to them.

use futures_util::stream;
use signatures::{Scheme, Secret, sign};
use warp::http::{HeaderName, HeaderValue};

use super::*;
use crate::testing::{BODY_BYTES_MAX, NOW, TestIngress, up_body};

const REQUESTS: usize = 100_000;

/// Where damage is drawn from; another seed is as good.
const SEED: u64 = 20_261_123;

/// Two hours, which no scheme tolerates.
const LONG_MS: i64 = 2 * 60 * 60 * 1_000;

const KINDS: [&str; 16] = [
    "a bit of the body is flipped",
    "the body is cut",
    "the body goes on",
    "two bytes of the body changed places",
    "the body begins with a byte that is no text",
    "the body is gone",
    "the body is too long",
    "the body is another",
    "a character of the signature is another",
    "the signature is cut",
    "the signature is not there",
    "the signature is there twice",
    "the signature has a byte that is no text",
    "the signature is under another name",
    SECRET,
    TIME,
];

/// The two that are done where it is signed.
const SECRET: &str = "another secret signed it";
const TIME: &str = "it was signed at another time";

/// A request as it is sent.
struct Sent {
    body: Vec<u8>,
    headers: Vec<(HeaderName, Vec<u8>)>,
}

fn schemes() -> [(&'static str, Scheme); 3] {
    [("up", Scheme::up()), ("stripe", Scheme::stripe()), ("github", Scheme::github())]
}

fn signed(scheme: &Scheme, secret: &str, body: String, at: i64) -> Sent {
    let headers = sign(scheme, &Secret::new(secret).unwrap(), body.as_bytes(), at);
    let headers = headers.into_iter().map(|header| {
        (HeaderName::from_bytes(header.name.as_bytes()).unwrap(), header.value.into_bytes())
    });
    Sent { body: body.into_bytes(), headers: headers.collect() }
}

/// Another character, and not the same in the other case.
fn another(rng: &mut fastrand::Rng, than: u8) -> u8 {
    loop {
        let drawn = rng.u8(b'!'..=b'~');
        if !drawn.eq_ignore_ascii_case(&than) {
            return drawn;
        }
    }
}

fn damage(rng: &mut fastrand::Rng, kind: &str, sent: &mut Sent) {
    let Sent { body, headers } = sent;
    let at = rng.usize(..body.len());
    let (name, value) = &mut headers[0];
    let in_value = rng.usize(..value.len());
    match kind {
        "a bit of the body is flipped" => body[at] ^= 1 << rng.u8(..8),
        "the body is cut" => body.truncate(at),
        "the body goes on" => body.extend((0..rng.usize(1..20)).map(|_| rng.u8(..))),
        "two bytes of the body changed places" => {
            let first = body[0];
            let other = body.iter().rposition(|byte| *byte != first).unwrap();
            body.swap(0, other);
        }
        "the body begins with a byte that is no text" => body.insert(0, 0xff),
        "the body is gone" => body.clear(),
        "the body is too long" => body.resize(BODY_BYTES_MAX + 1, b' '),
        "the body is another" => *body = up_body("e-0", None).into_bytes(),
        "a character of the signature is another" => {
            value[in_value] = another(rng, value[in_value]);
        }
        "the signature is cut" => value.truncate(in_value),
        "the signature is not there" => headers.clear(),
        "the signature is there twice" => {
            let twin = (name.clone(), value.clone());
            headers.push(twin);
        }
        "the signature has a byte that is no text" => value[in_value] = 0xff,
        "the signature is under another name" => *name = HeaderName::from_static("x-signature"),
        _ => unreachable!("no damage is called `{kind}`"),
    }
}

/// A genuine request of a random source with one damage; gives the source's name and the damage.
fn damaged(rng: &mut fastrand::Rng, number: usize) -> (&'static str, &'static str, Sent) {
    let kind = KINDS[number % KINDS.len()];
    // Only one of them signs the time.
    let drawn = if kind == TIME { 1 } else { rng.usize(..3) };
    let (source, scheme) = schemes().into_iter().nth(drawn).unwrap();
    let body = up_body(&format!("e-{number}"), Some("t-1"));
    let (secret, at) = match kind {
        SECRET => ("another", NOW),
        TIME if rng.bool() => (source, NOW - LONG_MS),
        TIME => (source, NOW + LONG_MS),
        _ => (source, NOW),
    };
    let mut sent = signed(&scheme, secret, body, at);
    if ![SECRET, TIME].contains(&kind) {
        damage(rng, kind, &mut sent);
    }
    (source, kind, sent)
}

async fn answer(ingress: &TestIngress, source: &str, sent: &Sent) -> Answer {
    let door = ingress.shared.doors.iter().find(|door| door.source.name == source).unwrap();
    let mut headers = HeaderMap::new();
    for (name, value) in &sent.headers {
        headers.append(name, HeaderValue::from_bytes(value).unwrap());
    }
    let head = Head { peer: IpAddr::from([192, 0, 2, 1]), method: Method::POST, headers };
    let body = stream::iter([Ok::<_, std::io::Error>(bytes::Bytes::from(sent.body.clone()))]);
    receive(&ingress.shared, door, &head, body).await
}

#[tokio::test]
async fn a_hundred_thousand_damaged_requests_are_rejected_and_none_is_on_the_topic() {
    let ingress = TestIngress::start().await;
    let mut rng = fastrand::Rng::with_seed(SEED);
    for number in 0..REQUESTS {
        let (source, kind, sent) = damaged(&mut rng, number);
        let answer = answer(&ingress, source, &sent).await;
        assert!(
            matches!(answer, Answer::Rejected(_)),
            "{number}: {kind} ({source}): {answer:?} to {:?} {:?}",
            sent.headers,
            String::from_utf8_lossy(&sent.body)
        );
    }
    assert_eq!(ingress.records().len(), 0);
    let rejected: u64 = ingress
        .shared
        .metrics
        .text()
        .unwrap()
        .lines()
        .filter(|line| line.starts_with("webhook_rejected_total{"))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
        .sum();
    assert_eq!(rejected, REQUESTS as u64, "each is counted with its reason");
    // And the same door still takes what is whole.
    let whole = signed(&Scheme::up(), "up", up_body("e-1", Some("t-1")), NOW);
    assert_eq!(answer(&ingress, "up", &whole).await, Answer::Received(200));
}
