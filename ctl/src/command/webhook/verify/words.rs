//! The verdict in words.
use signatures::{Explanation, NeededHeader, Reason};

use crate::output::escaped;

/// What was judged, what was signed, and what would help.
pub(super) fn text(explanation: &Explanation) -> String {
    let mut lines = vec![verdict(explanation)];
    lines.push(format!("scheme    {}", explanation.scheme));
    if let Some(given) = &explanation.given {
        lines.push(format!("given     {}", escaped(given)));
    }
    if let Some(named) = &explanation.named_key {
        let known = match explanation.known_keys.as_slice() {
            [] => "none".to_owned(),
            keys => escaped(&keys.join(", ")),
        };
        lines.push(format!("names     key {}; known: {known}", escaped(named)));
    }
    if is_of_headers(explanation) {
        let needs =
            |it: &NeededHeader| format!("needs     {}: {} ({})", it.name, it.form, it.found);
        lines.extend(explanation.headers.iter().map(needs));
    }
    for part in &explanation.signed {
        lines.push(format!(
            "signed    {:<9} {} bytes, sha256 {}: {}",
            part.part, part.length, part.sha256, part.preview
        ));
    }
    if explanation.signed.iter().all(|part| part.part != "body") {
        let (bytes, sha256) = (explanation.body_bytes, &explanation.body_sha256);
        lines.push(format!("body      {bytes} bytes, sha256 {sha256}"));
    }
    for expected in &explanation.expected {
        lines.push(format!("expected  {} (key {})", expected.signature, escaped(&expected.key_id)));
    }
    if let Some((first, last)) = explanation.fresh_between {
        lines.push(format!("fresh     from {} to {}", time(first), time(last)));
    }
    lines.extend(explanation.hints.iter().map(|hint| format!("hint      {hint}")));
    lines.join("\n")
}

/// Whether the headers themselves are what is wrong: also one that names a place of keys that is not
/// pinned, so that nothing else was read.
fn is_of_headers(explanation: &Explanation) -> bool {
    use Reason::{
        AlgorithmNotAllowed, InvalidTimestamp, MalformedHeader, MissingHeaders, UnknownKey,
    };
    match explanation.reason {
        Some(MissingHeaders | MalformedHeader | InvalidTimestamp | AlgorithmNotAllowed) => true,
        Some(UnknownKey) => explanation.signed.is_empty(),
        _ => false,
    }
}

fn verdict(explanation: &Explanation) -> String {
    match (&explanation.reason, &explanation.key_id) {
        (None, Some(key)) => format!("accepted: signed with key `{}`", escaped(key)),
        (None, None) => "accepted".to_owned(),
        (Some(reason), _) => format!("rejected: {reason}: {}", meaning(*reason)),
    }
}

fn meaning(reason: Reason) -> &'static str {
    match reason {
        Reason::MissingHeaders => {
            "a header (adyen: an item's signature) that is needed is not there"
        }
        Reason::MalformedHeader => "a header is not of the scheme's form, or there more than once",
        Reason::InvalidTimestamp => "the timestamp is not in its one canonical form",
        Reason::ClockSkew => {
            "the timestamp is further from the time of judging than the tolerance (see fresh)"
        }
        Reason::UnknownKey => {
            "the request names a key that is not among the given ones, is not in use now, or is to be \
             fetched from a place that is not pinned"
        }
        Reason::AlgorithmNotAllowed => "the request asks for another algorithm",
        Reason::SignatureMismatch => {
            "no active key makes the given signature over these bytes: another secret, or another \
             body than the one that was signed"
        }
        Reason::BodyHashMismatch => "the signed hash is of another body",
        Reason::Replayed => "the event was accepted before, with another body",
        Reason::BodyTooLarge => "the body is over the limit",
        Reason::InvalidPayload => {
            "the body is not an event of this source (adyen: not JSON with items that read one way)"
        }
    }
}

fn time(millis: i64) -> String {
    jiff::Timestamp::from_millisecond(millis)
        .map_or_else(|_| format!("{millis} ms"), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use signatures::{Scheme, Secret, Verifier, explain, sign};

    use super::text;

    #[test]
    fn nothing_of_a_request_moves_the_terminal() {
        use base64::Engine as _;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;

        let vectors = include_str!("../../../../../signatures/tests/vectors/plaid.json");
        let vectors: serde_json::Value = serde_json::from_str(vectors).unwrap();
        let key = Secret::new(vectors["secrets"][0][1].as_str().unwrap()).unwrap();
        let scheme = Scheme::plaid();
        let verifier = Verifier::new(scheme, vec![("file\u{1b}".into(), key)]).unwrap();
        let header = BASE64.encode(r#"{"alg":"ES256","kid":"k\u001b[2J\u009b1m"}"#);
        let claims = BASE64.encode(r#"{"iat":1772501000,"request_body_sha256":"00"}"#);
        let token = format!("{header}.{claims}.{}", BASE64.encode([0; 64]));
        for value in [token, "\u{1b}]0;owned\u{7}\u{9b}31mé".to_owned()] {
            let headers = [("plaid-verification".to_owned(), value.into_bytes())];
            let told = text(&explain(&verifier, &headers[..], b"\x1b[2J", 1_772_501_000_000));
            let is_plain = |byte: u8| byte == b'\n' || (b' '..=b'~').contains(&byte);
            assert!(told.bytes().all(is_plain), "{told}");
            assert!(told.contains(r"\x1b"), "{told}");
        }
    }

    #[test]
    fn a_rejection_says_what_was_signed_and_what_would_help() {
        let secret = Secret::new("whsec_example").unwrap();
        let at = 1_767_323_045_000;
        let headers = sign(&Scheme::stripe(), &secret, b"{}", at);
        let verifier = Verifier::new(Scheme::stripe(), vec![("SECRET".into(), secret)]).unwrap();
        let late = explain(&verifier, &headers, b"{}", at + 301_000);
        insta::assert_snapshot!(text(&late), @r"
        rejected: clock-skew: the timestamp is further from the time of judging than the tolerance (see fresh)
        scheme    stripe
        given     t=1767323045,v1=4ac14e51b0ea62bb96bee8cb59b5dd63ba74e6ae6a7c5edbd0d372ccc406d6e8
        signed    timestamp 10 bytes, sha256 b45ca296a1e50ea67e1775b0d0cc399c353b2f9606f4a85647bbe1f3b2f984c5: 1767323045
        signed    literal   1 bytes, sha256 cdb4ee2aea69cc6a83331bbe96dc2caa9a299d21329efb0336fc02a82e1839a8: .
        signed    body      2 bytes, sha256 44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a: {}
        expected  4ac14e51b0ea62bb96bee8cb59b5dd63ba74e6ae6a7c5edbd0d372ccc406d6e8 (key SECRET)
        fresh     from 2026-01-02T02:59:05Z to 2026-01-02T03:09:05Z
        hint      the signature matches; only the time is outside the tolerance
        ");
        assert!(!text(&late).contains("whsec_example"));
    }
}
