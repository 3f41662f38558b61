//! A partner that signs a header in front of a JSON object: the header may hold its separator, and
//! still nothing moves between the two.

use proptest::prelude::*;
use proptest::sample::Index;
use signatures::{FreeScheme, Header, Reason, Secret, SignError, Signer, Verifier};

use crate::rows::AT;

const TABLE: &str = "header = \"x-own\"\nalgorithm = \"hmac-sha256\"\n\
    parse = { pairs = { timestamp = \"t\", signature = \"v1\" } }\n\
    signed = \"{timestamp}.{header:x-id}.{header:x-kind}.{object}\"\n";

fn parties() -> (Signer, Verifier) {
    let table: FreeScheme = toml::from_str(TABLE).unwrap();
    let (scheme, secret) = (table.scheme("partner").unwrap(), Secret::new("a key").unwrap());
    let signer = Signer::new(scheme.clone(), &secret).unwrap();
    (signer, Verifier::new(scheme, vec![("only".into(), secret)]).unwrap())
}

fn headers(signature: &str, id: &str, kind: &str) -> Vec<Header> {
    let pairs = [("x-own", signature), ("x-id", id), ("x-kind", kind)];
    pairs.map(|(name, value)| Header { name: name.into(), value: value.into() }).into()
}

fn signed(id: &str, kind: &str, body: &[u8]) -> Result<String, SignError> {
    let sent = parties().0.sign(&headers("", id, kind)[1..], body, AT)?;
    Ok(sent.into_iter().find(|header| header.name == "x-own").unwrap().value)
}

fn judge(signature: &str, id: &str, kind: &str, body: &[u8]) -> Result<String, Reason> {
    let verified = parties().1.verify(&headers(signature, id, kind), body, AT);
    verified.map(|verified| verified.key_id)
}

#[test]
fn a_body_that_is_no_object_is_neither_signed_nor_judged() {
    let signature = signed("i", "a.b", b"{}").unwrap();
    for body in [&b""[..], b"[]", b" {}", b"x.{}"] {
        assert_eq!(signed("i", "a.b", body), Err(SignError::Object));
        assert_eq!(judge(&signature, "i", "a.b", body), Err(Reason::InvalidPayload));
    }
}

proptest! {
    #[test]
    fn what_was_signed_is_accepted_as_it_was_and_in_no_other_parts(
        id in "[a-c]{1,4}", kind in "[a-c.]{1,8}", rest in "[a-c.{}]{0,16}", cuts: [Index; 2],
    ) {
        let body = format!("{{{rest}");
        let signature = signed(&id, &kind, body.as_bytes()).unwrap();
        prop_assert_eq!(judge(&signature, &id, &kind, body.as_bytes()), Ok("only".to_owned()));
        // the same bytes, parted anywhere else, with and without what stood between
        let all = format!("{id}.{kind}.{body}");
        let mut at = cuts.map(|cut| cut.index(all.len() + 1));
        at.sort_unstable();
        let (front, three) = all.split_at(at[1]);
        let (one, two) = front.split_at(at[0]);
        let bare = |text: &str| text.strip_prefix('.').unwrap_or(text).to_owned();
        for (two, three) in [(two.to_owned(), three.to_owned()), (bare(two), bare(three))] {
            let is_same = (one, two.as_str(), three.as_str()) == (&*id, &*kind, &*body);
            let verdict = judge(&signature, one, &two, three.as_bytes());
            prop_assert_eq!(verdict.is_ok(), is_same, "{} | {} | {}", one, two, three);
        }
    }
}
