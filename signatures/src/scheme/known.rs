//! The built-in schemes.

use super::{
    Algorithm, Carrier, Freshness, Integrity, KeyEncoding, Part, Scheme, SignatureEncoding,
    TimestampForm,
};

/// Five minutes: the default of the providers' own libraries.
const TOLERANCE_MS: i64 = 300_000;

/// Five minutes each way.
const USUAL: Freshness = Freshness { past_ms: TOLERANCE_MS, future_ms: TOLERANCE_MS };

impl Scheme {
    /// Names of the built-in schemes.
    pub const NAMES: [&'static str; 9] = [
        "up",
        "stripe",
        "github",
        "gocardless",
        "modern-treasury",
        "demoz",
        "standard-webhooks",
        "svix",
        "convoy",
    ];

    /// The built-in scheme of this name.
    pub fn by_name(name: &str) -> Option<Self> {
        Some(match name {
            "up" => Self::up(),
            "stripe" => Self::stripe(),
            "github" => Self::github(),
            "gocardless" => Self::gocardless(),
            "modern-treasury" => Self::modern_treasury(),
            "demoz" => Self::demoz(),
            "standard-webhooks" => Self::standard_webhooks(),
            "svix" => Self::svix(),
            "convoy" => Self::convoy(),
            _ => return None,
        })
    }

    /// HMAC-SHA256 of the body in lower-case hex under the secret's own bytes, without a time.
    fn hex_of_body(name: &str, header: &str) -> Self {
        Self {
            name: name.into(),
            header: header.into(),
            carrier: Carrier::Plain,
            signed: vec![Part::Body],
            algorithm: Algorithm::HmacSha256,
            key_encoding: KeyEncoding::Utf8,
            signature_encoding: SignatureEncoding::LowerHex,
            timestamp_header: None,
            timestamp_form: TimestampForm::UnixSeconds,
            freshness: None,
            integrity: Integrity::Full,
        }
    }

    /// Up: the body alone, HMAC-SHA256 in lower-case hex, no time. <https://developer.up.com.au>
    pub fn up() -> Self {
        Self::hex_of_body("up", "x-up-authenticity-signature")
    }

    /// Stripe: `t=…,v1=…` over `t.body`, several `v1` while a secret is rolled, five minutes each
    /// way. <https://docs.stripe.com/webhooks#verify-manually>
    pub fn stripe() -> Self {
        Self {
            carrier: Carrier::Pairs { timestamp: "t".into(), signature: "v1".into() },
            signed: vec![Part::Timestamp, literal("."), Part::Body],
            freshness: Some(USUAL),
            ..Self::hex_of_body("stripe", "stripe-signature")
        }
    }

    /// GitHub: `sha256=` and the HMAC of the body.
    /// <https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>
    pub fn github() -> Self {
        Self {
            carrier: Carrier::Prefixed("sha256=".into()),
            ..Self::hex_of_body("github", "x-hub-signature-256")
        }
    }

    /// `GoCardless`: the HMAC of the body, which is a batch of events.
    /// <https://developer.gocardless.com/getting-started/staying-up-to-date-with-webhooks>
    pub fn gocardless() -> Self {
        Self::hex_of_body("gocardless", "webhook-signature")
    }

    /// Modern Treasury: the HMAC of the body.
    /// <https://docs.moderntreasury.com/platform/reference/webhooks-signatures>
    pub fn modern_treasury() -> Self {
        Self::hex_of_body("modern-treasury", "x-signature")
    }

    /// Demoz: `X-Demoz-Timestamp` (RFC 3339), `-Nonce` (no dot) and `-Signature` over
    /// `timestamp.nonce.body`, five minutes each way.
    pub fn demoz() -> Self {
        let nonce = Part::Header("x-demoz-nonce".into());
        Self {
            signed: vec![Part::Timestamp, literal("."), nonce, literal("."), Part::Body],
            timestamp_header: Some("x-demoz-timestamp".into()),
            timestamp_form: TimestampForm::Rfc3339,
            freshness: Some(USUAL),
            ..Self::hex_of_body("demoz", "x-demoz-signature")
        }
    }

    /// Standard Webhooks: `webhook-id`, `-timestamp` and `-signature` (`v1,…`) over
    /// `id.timestamp.body`, five minutes each way. An id with a dot is refused, as the specification
    /// advises: bytes could move between the parts. <https://www.standardwebhooks.com>
    pub fn standard_webhooks() -> Self {
        Self::ids_and_times("standard-webhooks", "webhook")
    }

    /// Svix: Standard Webhooks under its older header names. <https://docs.svix.com/receiving>
    pub fn svix() -> Self {
        Self::ids_and_times("svix", "svix")
    }

    fn ids_and_times(name: &str, prefix: &str) -> Self {
        let id = Part::Header(format!("{prefix}-id"));
        Self {
            carrier: Carrier::Versions(vec![("v1".into(), Algorithm::HmacSha256)]),
            signed: vec![id, literal("."), Part::Timestamp, literal("."), Part::Body],
            key_encoding: KeyEncoding::StandardWebhooks,
            signature_encoding: SignatureEncoding::Base64,
            timestamp_header: Some(format!("{prefix}-timestamp")),
            freshness: Some(USUAL),
            ..Self::hex_of_body(name, &format!("{prefix}-signature"))
        }
    }

    /// Convoy's simple signature: the HMAC of the body. Parameters make others of it: `mode`
    /// (`simple`, `advanced`), `hash` (`SHA256`, `SHA512`), `encoding` (`hex`, `base64`).
    /// <https://docs.getconvoy.io/product-manual/signatures>
    pub fn convoy() -> Self {
        Self::hex_of_body("convoy", "x-convoy-signature")
    }

    /// Convoy's advanced signature: `t=…,v1=…` over `t,body`, five minutes each way.
    pub fn convoy_advanced() -> Self {
        Self {
            carrier: Carrier::Pairs { timestamp: "t".into(), signature: "v1".into() },
            signed: vec![Part::Timestamp, literal(","), Part::Body],
            freshness: Some(USUAL),
            ..Self::convoy()
        }
    }
}

pub(super) fn literal(text: &str) -> Part {
    Part::Literal(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_to_its_scheme_and_no_other_does() {
        for name in Scheme::NAMES {
            assert_eq!(Scheme::by_name(name).unwrap().name, name);
        }
        assert_eq!(Scheme::by_name("Up"), None);
    }
}
