//! What may have happened to a body on its way: each guess is tried against the signature.

use std::io::{Result, Write};

use serde::Serialize;
use serde_json::Value;

use super::Hint;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What U+FFFD is in UTF-8: a lossy conversion leaves it where bytes were no text.
const REPLACEMENT: &[u8] = b"\xef\xbf\xbd";

/// The changes that would make `matches` true of the body; where there is none, what looks wrong.
pub(super) fn hints(body: &[u8], matches: &impl Fn(&[u8]) -> bool) -> Vec<Hint> {
    let mut hints = Vec::new();
    let cut = body.strip_suffix(b"\r\n").or_else(|| body.strip_suffix(b"\n"));
    if cut.is_some_and(matches) {
        hints.push(Hint::BodyWithoutFinalLineBreak);
    }
    if matches(&[body, b"\n"].concat()) || matches(&[body, b"\r\n"].concat()) {
        hints.push(Hint::BodyWithFinalLineBreak);
    }
    let lines: Vec<_> = body.split(|byte| *byte == b'\n').collect();
    if lines.len() > 1 && matches(&lines.join(&b"\r\n"[..])) {
        hints.push(Hint::BodyWithCrLf);
    }
    if body.strip_prefix(BYTE_ORDER_MARK).is_some_and(matches)
        || matches(&[BYTE_ORDER_MARK, body].concat())
    {
        hints.push(Hint::BodyByteOrderMark);
    }
    if !body.is_empty() && matches(b"") {
        hints.push(Hint::BodyWasEmpty);
    }
    if latin_1(body).is_some_and(|body| matches(&body)) {
        hints.push(Hint::BodyTranscoded);
    }
    if hints.is_empty() && rewritten(body).iter().any(|body| matches(body)) {
        hints.push(Hint::BodyReserialised);
    }
    if hints.is_empty() && body.windows(REPLACEMENT.len()).any(|window| window == REPLACEMENT) {
        hints.push(Hint::BodyReplacementCharacter);
    }
    hints
}

/// The bytes of which somebody made UTF-8 although they were UTF-8 already; `None` where that cannot
/// have been, or makes no difference.
fn latin_1(body: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(body).ok().filter(|text| !text.is_ascii())?;
    text.chars().map(|letter| u8::try_from(u32::from(letter)).ok()).collect()
}

/// The same JSON as other programs write it: without spaces, with a space after each comma and
/// colon, on lines of their own; with letters beyond ASCII, and slashes, escaped or not.
fn rewritten(body: &[u8]) -> Vec<Vec<u8>> {
    let Ok(value) = serde_json::from_slice::<Value>(body) else { return Vec::new() };
    let mut texts: Vec<_> = serde_json::to_vec_pretty(&value).into_iter().collect();
    for spaced in [false, true] {
        for escaped in [Escaped::None, Escaped::Ascii, Escaped::AsciiAndSlash] {
            let style = Style { spaced, escaped };
            let mut to = serde_json::Serializer::with_formatter(Vec::new(), style);
            texts.extend(value.serialize(&mut to).map(|()| to.into_inner()));
        }
    }
    texts.retain(|text| text != body);
    texts
}

/// How a program writes JSON: Python with spaces and escapes, PHP with escaped slashes.
struct Style {
    spaced: bool,
    escaped: Escaped,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Escaped {
    None,
    Ascii,
    AsciiAndSlash,
}

impl Style {
    fn comma<W: ?Sized + Write>(&self, to: &mut W, first: bool) -> Result<()> {
        match (first, self.spaced) {
            (true, _) => Ok(()),
            (false, true) => to.write_all(b", "),
            (false, false) => to.write_all(b","),
        }
    }
}

impl serde_json::ser::Formatter for Style {
    fn begin_array_value<W: ?Sized + Write>(&mut self, to: &mut W, first: bool) -> Result<()> {
        self.comma(to, first)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, to: &mut W, first: bool) -> Result<()> {
        self.comma(to, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, to: &mut W) -> Result<()> {
        to.write_all(if self.spaced { b": " } else { b":" })
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, to: &mut W, text: &str) -> Result<()> {
        if self.escaped == Escaped::None {
            return to.write_all(text.as_bytes());
        }
        for letter in text.chars() {
            if letter == '/' && self.escaped == Escaped::AsciiAndSlash {
                to.write_all(b"\\/")?;
            } else if letter.is_ascii() {
                write!(to, "{letter}")?;
            } else {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    write!(to, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_names_what_happened_to_the_body() {
        #[track_caller]
        fn check(signed: &[u8], received: &[u8], expect: &[Hint]) {
            assert_eq!(hints(received, &|body: &[u8]| body == signed), expect);
        }
        check(b"{}", b"{}\n", &[Hint::BodyWithoutFinalLineBreak]);
        check(b"{}\n", b"{}", &[Hint::BodyWithFinalLineBreak]);
        check(b"{\r\n}", b"{\n}", &[Hint::BodyWithCrLf]);
        check(b"{}", b"\xef\xbb\xbf{}", &[Hint::BodyByteOrderMark]);
        check(b"\xef\xbb\xbf{}", b"{}", &[Hint::BodyByteOrderMark]);
        check(b"", b"{}", &[Hint::BodyWasEmpty]);
        check("é".as_bytes(), "Ã©".as_bytes(), &[Hint::BodyTranscoded]);
        check("[\"é\"]".as_bytes(), b"[\"\\u00e9\"]", &[Hint::BodyReserialised]);
        check(b"[\"\\u00e9\", \"/\"]", "[\"é\",\"/\"]".as_bytes(), &[Hint::BodyReserialised]);
        check(b"[\"\\ud83d\\ude00\\/\"]", "[\"😀/\"]".as_bytes(), &[Hint::BodyReserialised]);
        check(b"{\n  \"a\": 1\n}", b"{\"a\":1}", &[Hint::BodyReserialised]);
        check(b"\xff", "\u{fffd}".as_bytes(), &[Hint::BodyReplacementCharacter]);
        check(b"{}", b"[]", &[]);
    }
}
