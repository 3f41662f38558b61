//! The verdict in words.
use signatures::{Explanation, NeededHeader, Reason};

/// What was judged, what was signed, and what would help.
pub(super) fn text(explanation: &Explanation) -> String {
    let mut lines = vec![verdict(explanation)];
    lines.push(format!("scheme    {}", explanation.scheme));
    if let Some(given) = &explanation.given {
        lines.push(format!("given     {given}"));
    }
    if let Some(named) = &explanation.named_key {
        let known = match explanation.known_keys.as_slice() {
            [] => "none".to_owned(),
            keys => keys.join(", "),
        };
        lines.push(format!("names     key {named}; known: {known}"));
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
        lines.push(format!("expected  {} (key {})", expected.signature, expected.key_id));
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
        (None, Some(key)) => format!("accepted: signed with key `{key}`"),
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
