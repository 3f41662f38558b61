//! The two templates of a table: what is signed, and what the header's value looks like.

use super::{FreeSchemeError, header_name};
use crate::scheme::{Layout, Part, SignatureEncoding, TimestampForm};

/// Reads `{timestamp}.{header:x-id}.{body}`.
pub(super) fn signed(text: &str, form: TimestampForm) -> Result<Vec<Part>, FreeSchemeError> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        if !before.is_empty() {
            if parts.last() == Some(&Part::Timestamp) && before.starts_with(digit(form)) {
                return Err(FreeSchemeError::TimeEnd(before.into()));
            }
            parts.push(Part::Literal(before.into()));
        } else if let Some(touching) = parts.last() {
            return Err(FreeSchemeError::Touching(placeholder(touching)));
        }
        let (name, after) =
            after.split_once('}').ok_or_else(|| FreeSchemeError::Placeholder(after.into()))?;
        parts.push(match (name, name.strip_prefix("header:")) {
            ("timestamp", _) => Part::Timestamp,
            ("body", _) => Part::Body,
            ("object", _) => Part::Object,
            (_, Some(header)) => Part::Header(header_name(header)?),
            _ => return Err(FreeSchemeError::Placeholder(name.into())),
        });
        rest = after;
    }
    let is_body = |part: &Part| matches!(part, Part::Body | Part::Object);
    let bodies = parts.iter().filter(|part| is_body(part)).count();
    if !rest.is_empty() || !parts.last().is_some_and(is_body) || bodies != 1 {
        return Err(FreeSchemeError::Body);
    }
    Ok(parts)
}

/// What a time of digits may go on with. One of RFC 3339 ends by its own form.
fn digit(form: TimestampForm) -> impl Fn(char) -> bool {
    move |character| form != TimestampForm::Rfc3339 && character.is_ascii_digit()
}

fn placeholder(part: &Part) -> String {
    match part {
        Part::Timestamp => "timestamp".into(),
        Part::Header(name) => format!("header:{name}"),
        Part::Body => "body".into(),
        Part::Object => "object".into(),
        Part::Literal(text) | Part::Param(text) => text.clone(),
        Part::SignedHeaders => "headers".into(),
        Part::BodyCrc32 => "crc32".into(),
    }
}

/// Reads `{timestamp}.{signature}` or `v0={signatures:,}`.
pub(super) fn layout(
    text: &str,
    encoding: SignatureEncoding,
    form: TimestampForm,
) -> Result<Layout, FreeSchemeError> {
    let wrong = || FreeSchemeError::Template(text.into());
    let (front, last) = text.rsplit_once('{').ok_or_else(wrong)?;
    let between = match last.strip_suffix('}').ok_or_else(wrong)? {
        "signature" => None,
        several => {
            let separator = several.strip_prefix("signatures:").ok_or_else(wrong)?;
            let mut characters = separator.chars();
            let (Some(between), None) = (characters.next(), characters.next()) else {
                return Err(wrong());
            };
            if encoding.may_hold(between) {
                return Err(FreeSchemeError::Between(between));
            }
            Some(between)
        }
    };
    let (prefix, time_end) = match front.split_once("{timestamp}") {
        None => (front, None),
        Some((prefix, end)) => (prefix, Some(end)),
    };
    let is_text =
        |text: &str| text.bytes().all(|it| matches!(it, b' '..=b'~') && !b"{}".contains(&it));
    if !is_text(prefix) || !time_end.is_none_or(|end| is_text(end) && !end.is_empty()) {
        return Err(wrong());
    }
    if let Some(end) = time_end.filter(|end| end.starts_with(|it| form.may_hold(it))) {
        return Err(FreeSchemeError::TimeEnd(end.into()));
    }
    Ok(Layout { prefix: prefix.into(), time_end: time_end.map(str::to_owned), between })
}

impl SignatureEncoding {
    /// Whether a signature may have this character, or a header could not.
    fn may_hold(self, character: char) -> bool {
        let own = match self {
            Self::LowerHex => "",
            Self::Base64 => "+/=",
            Self::Base64Url => "-_",
        };
        character.is_ascii_alphanumeric()
            || own.contains(character)
            || !matches!(character, ' '..='~')
    }
}

impl TimestampForm {
    /// Whether a time of this form may have this character.
    fn may_hold(self, character: char) -> bool {
        let own = if self == Self::Rfc3339 { "-:.+TZ" } else { "" };
        character.is_ascii_digit() || own.contains(character)
    }
}
