//! Whatever is changed in a genuine request, it is not accepted any more.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use proptest::sample::Index;
use signatures::{Header, Reason, Scheme, Secret, Verifier, sign};

const AT: i64 = 1_772_501_000_000;

fn schemes() -> impl Strategy<Value = Scheme> {
    prop_oneof![Just(Scheme::up()), Just(Scheme::stripe())]
}

fn verifier(scheme: &Scheme, secret: &str) -> Verifier {
    let secret = Secret::new(secret).unwrap();
    Verifier::new(scheme.clone(), vec![("only".into(), secret)]).unwrap()
}

fn signed(scheme: &Scheme, secret: &str, body: &[u8]) -> Vec<Header> {
    sign(scheme, &Secret::new(secret).unwrap(), body, AT)
}

fn replaced(bytes: &[u8], at: Index, by: u8) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    let at = at.index(changed.len());
    changed[at] ^= by;
    changed
}

proptest! {
    #[test]
    fn what_is_signed_is_accepted_for_any_body_and_key(
        scheme in schemes(), secret in "[!-~]{1,80}", body: Vec<u8>,
    ) {
        let verdict = verifier(&scheme, &secret).verify(&signed(&scheme, &secret, &body), &body, AT);
        prop_assert_eq!(verdict.map(|it| it.key_id), Ok("only".to_owned()));
    }

    #[test]
    fn no_changed_byte_of_the_body_is_accepted(
        scheme in schemes(), body in prop::collection::vec(any::<u8>(), 1..200),
        at: Index, by in 1_u8..,
    ) {
        let verdict = verifier(&scheme, "key")
            .verify(&signed(&scheme, "key", &body), &replaced(&body, at, by), AT);
        prop_assert_eq!(verdict, Err(Reason::SignatureMismatch));
    }

    #[test]
    fn no_byte_added_to_or_cut_from_the_body_is_accepted(
        scheme in schemes(), body in prop::collection::vec(any::<u8>(), 1..200),
        at: Index, added: u8,
    ) {
        let headers = signed(&scheme, "key", &body);
        let mut longer = body.clone();
        longer.insert(at.index(body.len() + 1), added);
        let mut shorter = body.clone();
        shorter.remove(at.index(body.len()));
        for changed in [longer, shorter] {
            let verdict = verifier(&scheme, "key").verify(&headers, &changed, AT);
            prop_assert_eq!(verdict, Err(Reason::SignatureMismatch));
        }
    }

    #[test]
    fn no_changed_byte_of_the_header_is_accepted(
        scheme in schemes(), body: Vec<u8>, at: Index, by in 1_u8..,
    ) {
        let header = signed(&scheme, "key", &body).remove(0);
        let changed = replaced(header.value.as_bytes(), at, by);
        let verdict = verifier(&scheme, "key").verify(&vec![(header.name, changed)], &body, AT);
        prop_assert!(verdict.is_err(), "{verdict:?}");
    }

    #[test]
    fn no_header_cut_short_is_accepted(scheme in schemes(), body: Vec<u8>, at: Index) {
        let header = signed(&scheme, "key", &body).remove(0);
        let mut value = header.value.into_bytes();
        value.truncate(at.index(value.len()));
        let verdict = verifier(&scheme, "key").verify(&vec![(header.name, value)], &body, AT);
        prop_assert!(verdict.is_err(), "{verdict:?}");
    }

    #[test]
    fn no_other_key_is_accepted(scheme in schemes(), key in "[a-z]{1,8}", body: Vec<u8>) {
        let verdict = verifier(&scheme, "KEY").verify(&signed(&scheme, &key, &body), &body, AT);
        prop_assert_eq!(verdict, Err(Reason::SignatureMismatch));
    }

    #[test]
    fn a_time_is_accepted_within_the_tolerance_and_nowhere_else(now in any::<i64>(), near in -400_000..400_000_i64) {
        let scheme = Scheme::stripe();
        let headers = signed(&scheme, "key", b"{}");
        for now in [now, AT + near] {
            let fresh = now.checked_sub(AT).is_some_and(|age| (-300_000..=300_000).contains(&age));
            let verdict = verifier(&scheme, "key").verify(&headers, b"{}", now);
            prop_assert_eq!(verdict.map(|_| ()), if fresh { Ok(()) } else { Err(Reason::ClockSkew) });
        }
    }

    #[test]
    fn arbitrary_headers_are_refused_without_a_panic(
        scheme in schemes(), value: Vec<u8>, text in "[tv01=,0-9a-f]{0,120}", body: Vec<u8>,
    ) {
        for value in [value, text.into_bytes()] {
            let headers = vec![(scheme.header.clone(), value)];
            prop_assert!(verifier(&scheme, "key").verify(&headers, &body, AT).is_err());
        }
    }
}
