//! Whatever is changed in a genuine request, it is not accepted any more.

use proptest::prelude::*;
use proptest::sample::Index;
use signatures::{Carrier, Reason, Scheme, Secret, Verifier, sign};

use crate::rows::{AT, ROWS, Row, raw};

fn schemes() -> impl Strategy<Value = Row> {
    prop::sample::select(ROWS.as_slice())
}

impl Row {
    /// What is said of another body.
    fn refusal(&self) -> Reason {
        match self.scheme.carrier {
            Carrier::Jwt => Reason::BodyHashMismatch,
            _ => Reason::SignatureMismatch,
        }
    }
}

fn replaced(bytes: &[u8], at: Index, by: u8) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    let at = at.index(changed.len());
    changed[at] ^= by;
    changed
}

proptest! {
    #[test]
    fn what_is_signed_is_accepted_for_any_body(case in schemes(), body: Vec<u8>) {
        prop_assert_eq!(case.judge(&raw(case.signed(&body)), &body), Ok("only".to_owned()));
    }

    #[test]
    fn any_text_is_a_key(secret in "[!-~]{1,80}", body: Vec<u8>) {
        let secret = Secret::new(secret).unwrap();
        let headers = sign(&Scheme::up(), &secret, &body, AT);
        let verifier = Verifier::new(Scheme::up(), vec![("only".into(), secret)]).unwrap();
        prop_assert!(verifier.verify(&headers, &body, AT).is_ok());
    }

    #[test]
    fn no_changed_byte_of_the_body_is_accepted(
        case in schemes(), body in prop::collection::vec(any::<u8>(), 1..200),
        at: Index, by in 1_u8..,
    ) {
        let verdict = case.judge(&raw(case.signed(&body)), &replaced(&body, at, by));
        prop_assert_eq!(verdict, Err(case.refusal()));
    }

    #[test]
    fn no_byte_added_to_or_cut_from_the_body_is_accepted(
        case in schemes(), body in prop::collection::vec(any::<u8>(), 1..200),
        at: Index, added: u8,
    ) {
        let headers = raw(case.signed(&body));
        let mut longer = body.clone();
        longer.insert(at.index(body.len() + 1), added);
        let mut shorter = body.clone();
        shorter.remove(at.index(body.len()));
        for changed in [longer, shorter] {
            prop_assert_eq!(case.judge(&headers, &changed), Err(case.refusal()));
        }
    }

    #[test]
    fn no_changed_byte_of_a_header_is_accepted(
        case in schemes(), body: Vec<u8>, which: Index, at: Index, by in 1_u8..,
    ) {
        let mut headers = raw(case.signed(&body));
        let which = which.index(headers.len());
        headers[which].1 = replaced(&headers[which].1, at, by);
        prop_assert!(case.judge(&headers, &body).is_err(), "{headers:?}");
    }

    #[test]
    fn no_header_cut_short_left_out_or_given_twice_is_accepted(
        case in schemes(), body: Vec<u8>, which: Index, at: Index,
    ) {
        let headers = raw(case.signed(&body));
        let which = which.index(headers.len());
        let mut cut = headers.clone();
        cut[which].1.truncate(at.index(headers[which].1.len()));
        prop_assert!(case.judge(&cut, &body).is_err(), "{cut:?}");
        let mut fewer = headers.clone();
        let left_out = fewer.remove(which);
        prop_assert_eq!(case.judge(&fewer, &body), Err(Reason::MissingHeaders));
        let twice = [headers, vec![left_out]].concat();
        prop_assert_eq!(case.judge(&twice, &body), Err(Reason::MalformedHeader));
    }

    #[test]
    fn no_byte_moved_between_the_signed_parts_is_accepted(
        case in schemes(), body in "[0-9.,Z]{1,40}", cut: Index, which: Index,
    ) {
        // the end of a header goes to the body's beginning, or the other way round
        let headers = raw(case.signed(body.as_bytes()));
        let which = which.index(headers.len());
        let value = headers[which].1.clone();
        let at = cut.index(value.len());
        for separator in [&b""[..], b".", b","] {
            let mut shorter = headers.clone();
            shorter[which].1.truncate(at);
            let longer_body = [&value[at..], separator, body.as_bytes()].concat();
            prop_assert!(case.judge(&shorter, &longer_body).is_err());
            let mut longer = headers.clone();
            let at = cut.index(body.len());
            longer[which].1.extend([separator, &body.as_bytes()[..=at]].concat());
            prop_assert!(case.judge(&longer, &body.as_bytes()[at + 1..]).is_err());
        }
    }

    #[test]
    fn no_other_key_is_accepted(case in schemes(), body: Vec<u8>) {
        let verdict = case.verifier(&case.other).verify(&case.signed(&body), &body, AT);
        prop_assert_eq!(verdict, Err(Reason::SignatureMismatch));
    }

    #[test]
    fn a_time_is_accepted_within_the_tolerance_and_nowhere_else(
        case in schemes(), now in any::<i64>(), near in -400_000..400_000_i64,
    ) {
        let headers = case.signed(b"{}");
        for now in [now, AT + near] {
            let fresh = case.scheme.freshness.is_none_or(|freshness| {
                let within = -freshness.future_ms..=freshness.past_ms;
                now.checked_sub(AT).is_some_and(|age| within.contains(&age))
            });
            let verdict = case.verifier(&case.public).verify(&headers, b"{}", now);
            prop_assert_eq!(verdict.map(|_| ()), if fresh { Ok(()) } else { Err(Reason::ClockSkew) });
        }
    }

    #[test]
    fn arbitrary_headers_are_refused_without_a_panic(
        case in schemes(), value: Vec<u8>, text in "[tv01=,0-9a-f]{0,120}", body: Vec<u8>,
    ) {
        for value in [value, text.into_bytes()] {
            let mut headers = raw(case.signed(&body));
            headers[0].1 = value;
            prop_assert!(case.judge(&headers, &body).is_err());
        }
    }
}
