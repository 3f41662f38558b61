//! The same twenty-eight requests to every scheme: genuine ones in every dress, and near misses. Where a
//! request cannot be made for a scheme, the table says why.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use signatures::{
    Carrier, Freshness, Part, Reason, Scheme, Secret, SignatureEncoding, Verifier, explain,
};

use crate::rows::{AT, ROWS, Row, raw};

/// A mebibyte, the most that an ingress takes unless it is told otherwise.
const BODY_BYTES_MAX: usize = 1 << 20;

const BODY: &[u8] = b"{\"id\":\"evt_1\",\"note\":\"caf\xc3\xa9 1.2,3\"}";

/// What becomes of a request.
#[derive(Debug, PartialEq, Eq)]
enum Expect {
    Accepted,
    Refused(Reason),
    /// There is no such request, and why.
    None(&'static str),
}

use Expect::{Accepted, None as NoCell, Refused};

/// A request as it comes in, who judges it and when.
struct Request {
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    now: i64,
    keys: Vec<String>,
}

type Cell = (&'static str, fn(&Row, &mut Request) -> Expect);

const CELLS: &[Cell] = &[
    ("as it was signed", |_, _| Accepted),
    ("header names in capitals", |_, request| {
        request.headers.iter_mut().for_each(|(name, _)| *name = name.to_uppercase());
        Accepted
    }),
    ("headers in the other order", |_, request| {
        request.headers.reverse();
        Accepted
    }),
    ("other headers beside them", |_, request| {
        request.headers.insert(0, ("x-other".into(), vec![0xff]));
        Accepted
    }),
    ("an empty body", |row, request| with_body(row, request, b"")),
    ("a body that is not UTF-8", |row, request| with_body(row, request, b"\xff\x00\xc3")),
    ("a body of the maximum size", |row, request| {
        with_body(row, request, &vec![0xa5; BODY_BYTES_MAX])
    }),
    ("the right key second", |row, request| {
        request.keys.insert(0, row.other.clone());
        Accepted
    }),
    ("the last moment", |row, request| at_age(row, request, |freshness| freshness.past_ms)),
    ("the first moment", |row, request| at_age(row, request, |freshness| -freshness.future_ms)),
    ("a millisecond too old", |row, request| {
        too(at_age(row, request, |freshness| freshness.past_ms + 1))
    }),
    ("a millisecond too early", |row, request| {
        too(at_age(row, request, |freshness| -freshness.future_ms - 1))
    }),
    ("one bit of the body", |row, request| {
        request.body[0] ^= 1;
        other_body(row)
    }),
    ("a line break after the body", |row, request| {
        request.body.push(b'\n');
        other_body(row)
    }),
    ("one digit of the signature", |row, request| {
        change_signature(row, request, flipped);
        Refused(Reason::SignatureMismatch)
    }),
    ("another key", |row, request| {
        request.keys = vec![row.other.clone()];
        Refused(Reason::SignatureMismatch)
    }),
    ("another time than the signed one", other_time),
    ("another order of the signed parts", other_order),
    ("an empty header", |_, request| {
        request.headers[0].1.clear();
        Refused(Reason::MalformedHeader)
    }),
    ("no header", |_, request| {
        request.headers.remove(0);
        Refused(Reason::MissingHeaders)
    }),
    ("the header twice", |_, request| {
        request.headers.push(request.headers[0].clone());
        Refused(Reason::MalformedHeader)
    }),
    ("the header twice, another first", |row, request| {
        let genuine = request.headers[0].clone();
        change_signature(row, request, flipped);
        request.headers.push(genuine);
        Refused(Reason::MalformedHeader)
    }),
    ("two signatures in one header", |row, request| {
        let value = request.headers[0].1.clone();
        match &row.scheme.carrier {
            Carrier::Pairs { .. } | Carrier::Versions(_) => NoCell("its header is a list"),
            _ => {
                request.headers[0].1 = [&*value, b",", &*value].concat();
                Refused(Reason::MalformedHeader)
            }
        }
    }),
    ("upper-case hex", |row, request| match row.scheme.signature_encoding {
        SignatureEncoding::LowerHex => {
            change_signature(row, request, str::to_ascii_uppercase);
            Refused(Reason::MalformedHeader)
        }
        _ => NoCell("its signatures are in base64"),
    }),
    ("base64 with other padding", |row, request| match row.scheme.signature_encoding {
        SignatureEncoding::LowerHex => NoCell("its signatures are in hex"),
        SignatureEncoding::Base64 => {
            // where none is due, one is added
            change_signature(row, request, |signature| match signature.trim_end_matches('=') {
                bare if bare == signature => format!("{signature}="),
                bare => bare.to_owned(),
            });
            Refused(Reason::MalformedHeader)
        }
        SignatureEncoding::Base64Url => {
            change_signature(row, request, |signature| format!("{signature}="));
            Refused(Reason::MalformedHeader)
        }
    }),
    ("a signature cut short", |row, request| {
        change_signature(row, request, |signature| signature.chars().skip(4).collect());
        Refused(Reason::MalformedHeader)
    }),
    ("a space in front", |_, request| {
        request.headers[0].1.insert(0, b' ');
        Refused(Reason::MalformedHeader)
    }),
    ("a header that is not ASCII", |_, request| {
        request.headers[0].1.push(0xe9);
        Refused(Reason::MalformedHeader)
    }),
];

fn with_body(row: &Row, request: &mut Request, body: &[u8]) -> Expect {
    request.headers = raw(row.signed(body));
    request.body = body.to_vec();
    Accepted
}

fn other_body(row: &Row) -> Expect {
    match row.scheme.carrier {
        Carrier::Jwt => Refused(Reason::BodyHashMismatch),
        _ => Refused(Reason::SignatureMismatch),
    }
}

fn at_age(row: &Row, request: &mut Request, age: impl Fn(Freshness) -> i64) -> Expect {
    let Some(freshness) = row.scheme.freshness else { return NoCell("it signs no time") };
    request.now = AT + age(freshness);
    Accepted
}

fn too(expect: Expect) -> Expect {
    match expect {
        Accepted => Refused(Reason::ClockSkew),
        other => other,
    }
}

/// The time a second (or what stands last) later, the signature as it was.
fn other_time(row: &Row, request: &mut Request) -> Expect {
    let later = |text: &str| text.replace("1772501000", "1772501001").replace(":20Z", ":21Z");
    let changed = |value: &[u8]| later(std::str::from_utf8(value).unwrap()).into_bytes();
    if row.scheme.freshness.is_none() {
        return NoCell("it signs no time");
    }
    if row.scheme.carrier == Carrier::Jwt {
        let token = String::from_utf8(request.headers[0].1.clone()).unwrap();
        let parts: Vec<_> = token.split('.').collect();
        let claims = String::from_utf8(URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
        let claims = URL_SAFE_NO_PAD.encode(later(&claims));
        request.headers[0].1 = [parts[0], &claims, parts[2]].join(".").into_bytes();
        return Refused(Reason::SignatureMismatch);
    }
    let place = row.scheme.timestamp_header.as_ref().unwrap_or(&row.scheme.header);
    let header = request.headers.iter_mut().find(|(name, _)| name == place).unwrap();
    let before = header.1.clone();
    header.1 = changed(&before);
    assert_ne!(header.1, before, "{}", row.name);
    Refused(Reason::SignatureMismatch)
}

/// The same parts under the same key, joined in another order.
fn other_order(row: &Row, request: &mut Request) -> Expect {
    match &row.scheme.carrier {
        Carrier::Jwt => return NoCell("a token's parts have names"),
        Carrier::DetachedJws { .. } => {
            let value = String::from_utf8(request.headers[0].1.clone()).unwrap();
            let (token, signature) = value.split_once("..").unwrap();
            let token = String::from_utf8(URL_SAFE_NO_PAD.decode(token).unwrap()).unwrap();
            let (one, other) = ("x-tl-webhook-timestamp", "content-type");
            let swapped = token.replace(&format!("{one},{other}"), &format!("{other},{one}"));
            assert_ne!(swapped, token);
            let swapped = format!("{}..{signature}", URL_SAFE_NO_PAD.encode(swapped));
            request.headers[0].1 = swapped.into_bytes();
        }
        _ if row.scheme.signed == [Part::Body] => return NoCell("it signs the body alone"),
        _ => {
            let signed = row.scheme.signed.iter().rev().cloned().collect();
            let other = Scheme { signed, ..row.scheme.clone() };
            request.headers = raw(row.signed_as(&other, BODY));
        }
    }
    Refused(Reason::SignatureMismatch)
}

/// Another signature of the same length and spelling.
fn flipped(signature: &str) -> String {
    let first = if signature.starts_with('0') { "1" } else { "0" };
    std::iter::once(first).chain(signature.split("").skip(2)).collect()
}

/// Changes the signature where it stands in its header.
fn change_signature(row: &Row, request: &mut Request, change: impl Fn(&str) -> String) {
    let value = String::from_utf8(request.headers[0].1.clone()).unwrap();
    let at = match &row.scheme.carrier {
        Carrier::Prefixed(prefix) => prefix.len(),
        Carrier::Layout(layout) => {
            let time = layout.time_end.as_ref().map(|end| value.find(end).unwrap() + end.len());
            time.unwrap_or(layout.prefix.len())
        }
        Carrier::Pairs { signatures, .. } => {
            let name = format!("{}=", signatures[0]);
            value.find(&name).unwrap() + name.len()
        }
        Carrier::Versions(_) => value.find(',').unwrap() + 1,
        Carrier::Jwt | Carrier::DetachedJws { .. } => value.rfind('.').unwrap() + 1,
        _ => 0,
    };
    let (before, signature) = value.split_at(at);
    let changed = change(signature);
    assert_ne!(changed, signature, "{}", row.name);
    request.headers[0].1 = format!("{before}{changed}").into_bytes();
}

fn verdict(row: &Row, request: &Request) -> Expect {
    let key = |text: &String| (text.clone(), Secret::new(&**text).unwrap());
    let keys = request.keys.iter().map(key).collect();
    let verifier = Verifier::new(row.scheme.clone(), keys).unwrap();
    let judged = verifier.verify(&request.headers, &request.body, request.now);
    let told = explain(&verifier, &request.headers, &request.body, request.now);
    assert_eq!(told.reason, judged.as_ref().err().copied(), "{}", row.name);
    match judged {
        Ok(verified) => {
            assert_eq!(verified.key_id, row.public, "{}", row.name);
            Accepted
        }
        Err(reason) => Refused(reason),
    }
}

#[test]
fn every_request_of_the_table_is_judged_as_it_says_for_every_scheme() {
    let mut wrong = Vec::new();
    for (name, make) in CELLS {
        let mut made = 0;
        for row in ROWS.iter() {
            let mut request = Request {
                headers: raw(row.signed(BODY)),
                body: BODY.to_vec(),
                now: AT,
                keys: vec![row.public.clone()],
            };
            let expect = make(row, &mut request);
            if let NoCell(_) = expect {
                continue;
            }
            made += 1;
            let verdict = verdict(row, &request);
            if verdict != expect {
                wrong.push(format!("{}: {name}: {verdict:?}, not {expect:?}", row.name));
            }
        }
        assert!(made > 0, "no scheme has `{name}`");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
