//! Where a body stops being the one that it should be.
use std::fmt;

/// Bytes of either body that are shown from the first difference on.
const SHOWN_BYTES: usize = 24;

/// The first difference between two bodies.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Difference {
    /// Offset of the first byte that is not the same, or that one of them has no more.
    pub(super) at: usize,
    expected: String,
    found: String,
    lengths: (usize, usize),
}

impl Difference {
    /// The first difference of `body` from `known_good`; `None` when there is none.
    pub(super) fn between(known_good: &[u8], body: &[u8]) -> Option<Self> {
        if known_good == body {
            return None;
        }
        let at = known_good.iter().zip(body).take_while(|(good, given)| good == given).count();
        let shown = |bytes: &[u8]| {
            let rest: Vec<u8> = bytes.iter().skip(at).take(SHOWN_BYTES).copied().collect();
            if rest.is_empty() {
                "the end".to_owned()
            } else {
                format!("`{}`", rest.escape_ascii())
            }
        };
        let lengths = (known_good.len(), body.len());
        Some(Self { at, expected: shown(known_good), found: shown(body), lengths })
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, expected, found, lengths: (good, given) } = self;
        write!(
            f,
            "from the known good body at byte {at}: expected {expected}, found {found} ({good} \
             bytes and {given})"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Difference;

    #[test]
    fn a_difference_is_told_with_what_stands_there() {
        #[track_caller]
        fn check(good: &[u8], body: &[u8], expect: Option<&str>) {
            let told = Difference::between(good, body).map(|it| it.to_string());
            let expect = expect.map(|rest| format!("from the known good body at byte {rest}"));
            assert_eq!(told, expect);
        }
        check(b"{}", b"{}", None);
        check(b"{\"a\":1}", b"{\"a\": 1}", Some("5: expected `1}`, found ` 1}` (7 bytes and 8)"));
        check(b"{}", b"{}\n", Some("2: expected the end, found `\\n` (2 bytes and 3)"));
        check(b"\xc3\xa9", b"", Some("0: expected `\\xc3\\xa9`, found the end (2 bytes and 0)"));
    }
}
