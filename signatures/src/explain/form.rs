//! Which headers a scheme needs, in which form, and whether the request has them.

use serde::Serialize;

use crate::headers::{Headers, Occurrence};
use crate::parse;
use crate::scheme::{
    Algorithm, Carrier, Expectation, Layout, Part, Scheme, SignatureEncoding, TimestampForm,
};

/// A header that the scheme looks at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NeededHeader {
    /// Its name, in lower case.
    pub name: String,
    /// What its value must look like.
    pub form: String,
    /// Whether the request has it.
    pub found: Found,
}

/// How a request has a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Found {
    /// Not at all.
    #[error("absent")]
    Absent,
    /// Once, in ASCII.
    #[error("there")]
    Once,
    /// More than once.
    #[error("there more than once")]
    Repeated,
    /// Once, with bytes that are not ASCII.
    #[error("there with bytes that are not ASCII")]
    NotAscii,
}

/// The headers of the scheme, the signature's first.
pub(super) fn needed(scheme: &Scheme, headers: &(impl Headers + ?Sized)) -> Vec<NeededHeader> {
    let mut all = Vec::new();
    if scheme.carrier != Carrier::Items {
        all.push((&scheme.header, signature(scheme)));
    }
    if let Some(name) = &scheme.timestamp_header {
        all.push((name, scheme.timestamp_form.form().to_owned()));
    }
    for (index, part) in scheme.signed.iter().enumerate() {
        if let Part::Header(name) = part {
            let after = scheme.signed.get(index + 1..).unwrap_or_default();
            all.push((name, field(after)));
        }
    }
    for expectation in &scheme.expects {
        all.push(match expectation {
            Expectation::Algorithm { header, value } => (header, format!("`{value}`")),
            Expectation::KeyUrl { header, hosts } => {
                (header, format!("may be absent; https at {}", hosts.join(", ")))
            }
        });
    }
    let needed = |(name, form): (&String, String)| NeededHeader {
        form,
        found: found(headers, name),
        name: name.clone(),
    };
    all.into_iter().map(needed).collect()
}

fn found(headers: &(impl Headers + ?Sized), name: &str) -> Found {
    match headers.find(name) {
        Occurrence::Absent => Found::Absent,
        Occurrence::Repeated => Found::Repeated,
        Occurrence::Once(value) if value.is_ascii() => Found::Once,
        Occurrence::Once(_) => Found::NotAscii,
    }
}

fn signature(scheme: &Scheme) -> String {
    let bytes = |algorithm| encoded(scheme.signature_encoding, algorithm);
    let own = bytes(scheme.algorithm);
    match &scheme.carrier {
        Carrier::Plain | Carrier::Items => own,
        Carrier::Prefixed(prefix) => format!("`{prefix}` and {own}"),
        Carrier::Layout(layout) => laid_out(scheme, layout, &own),
        Carrier::Pairs { timestamp, signatures } => {
            pairs(scheme, timestamp.as_ref(), signatures, &own)
        }
        Carrier::Versions(versions) => {
            let item = |(name, algorithm): &(String, Algorithm)| {
                format!("`{name},` and {}", bytes(*algorithm))
            };
            let items: Vec<_> = versions.iter().map(item).collect();
            format!("{}; several with a space between", items.join(", or "))
        }
        Carrier::Jwt => format!("a token (JWT) of {}", jose(scheme.algorithm)),
        Carrier::DetachedJws { key_urls } => {
            format!(
                "a token without its middle part (`HEADER..SIGNATURE`) of {}; its `jku` absent or {}",
                jose(scheme.algorithm),
                key_urls.join(" or ")
            )
        }
    }
}

fn laid_out(scheme: &Scheme, layout: &Layout, own: &str) -> String {
    let Layout { prefix, time_end, between } = layout;
    let several = between.map_or_else(String::new, |it| format!("; several with `{it}` between"));
    match time_end {
        Some(end) => {
            let time = scheme.timestamp_form.form();
            format!("`{prefix}TIME{end}SIGNATURE`, TIME {time}, SIGNATURE {own}{several}")
        }
        None => format!("`{prefix}SIGNATURE`, SIGNATURE {own}{several}"),
    }
}

fn pairs(scheme: &Scheme, timestamp: Option<&String>, signatures: &[String], own: &str) -> String {
    let name = signatures.first().map_or("", String::as_str);
    let others = match signatures.get(1..) {
        None | Some([]) => String::new(),
        Some(names) => format!("; also in `{}`", names.join("`, `")),
    };
    match timestamp {
        Some(timestamp) => {
            let time = scheme.timestamp_form.form();
            format!("`{timestamp}=TIME,{name}=SIGNATURE`, TIME {time}, SIGNATURE {own}{others}")
        }
        None => format!("`{name}=SIGNATURE`, SIGNATURE {own}{others}"),
    }
}

fn jose(algorithm: Algorithm) -> &'static str {
    algorithm.jose().unwrap_or("an HMAC")
}

fn encoded(encoding: SignatureEncoding, algorithm: Algorithm) -> String {
    let bytes = match algorithm {
        Algorithm::HmacSha256 => 32,
        Algorithm::HmacSha512 | Algorithm::Ed25519 | Algorithm::Es256 => 64,
        Algorithm::Es512 => 132,
        Algorithm::RsaSha256 | Algorithm::RsaSha256Twice | Algorithm::RsaSha512 => {
            return "padded base64 of as many bytes as the RSA key has".to_owned();
        }
    };
    match encoding {
        SignatureEncoding::LowerHex => format!("{} digits of lower-case hex", 2 * bytes),
        SignatureEncoding::Base64 => format!("padded base64 of {bytes} bytes"),
        SignatureEncoding::Base64Url => {
            format!("base64 for URLs, without padding, of {bytes} bytes")
        }
    }
}

fn field(after: &[Part]) -> String {
    let separator = parse::separator(after).map(char::from);
    let without = separator.map_or_else(String::new, |separator| format!(" without `{separator}`"));
    format!("1 to 256 visible ASCII characters{without}")
}

impl TimestampForm {
    fn form(self) -> &'static str {
        match self {
            Self::UnixSeconds => "whole seconds since 1970 in plain digits",
            Self::UnixMillis => "whole milliseconds since 1970 in plain digits",
            Self::Rfc3339 => "RFC 3339 such as `2026-01-02T03:04:05Z`",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::headers::Header;

    #[test]
    fn each_header_is_told_with_its_form_and_whether_it_is_there() {
        let told = |scheme: &Scheme, headers: &[Header]| -> Vec<String> {
            let line = |it: NeededHeader| format!("{}: {} ({})", it.name, it.form, it.found);
            needed(scheme, headers).into_iter().map(line).collect()
        };
        let header = |name: &str, value: &str| Header { name: name.into(), value: value.into() };
        let given = [header("X-Demoz-Nonce", "n"), header("x-demoz-timestamp", "é")];
        assert_eq!(
            told(&Scheme::demoz(), &given),
            [
                "x-demoz-signature: 64 digits of lower-case hex (absent)",
                "x-demoz-timestamp: RFC 3339 such as `2026-01-02T03:04:05Z` (there with bytes that \
                 are not ASCII)",
                "x-demoz-nonce: 1 to 256 visible ASCII characters without `.` (there)",
            ]
        );
        let twice = [header("stripe-signature", "a"), header("Stripe-Signature", "b")];
        assert_eq!(
            told(&Scheme::stripe(), &twice),
            ["stripe-signature: `t=TIME,v1=SIGNATURE`, TIME whole seconds since 1970 in plain \
              digits, SIGNATURE 64 digits of lower-case hex (there more than once)"]
        );
        assert_eq!(told(&Scheme::adyen(), &[]), Vec::<String>::new());
    }
}
