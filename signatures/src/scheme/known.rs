//! The built-in schemes.

use super::{
    Algorithm, Carrier, Expectation, Freshness, Integrity, KeyEncoding, Part, Scheme,
    SignatureEncoding, TimestampForm,
};

/// Five minutes: the default of the providers' own libraries.
const TOLERANCE_MS: i64 = 300_000;

/// `PayPal`'s hosts of certificates: its interface by both names, live and sandbox.
const PAYPAL_HOSTS: [&str; 4] =
    ["api.paypal.com", "api.sandbox.paypal.com", "api-m.paypal.com", "api-m.sandbox.paypal.com"];

const HOUR_MS: i64 = 3_600_000;

/// Five minutes each way.
const USUAL: Freshness = Freshness { past_ms: TOLERANCE_MS, future_ms: TOLERANCE_MS };

impl Scheme {
    /// Names of the built-in schemes.
    pub const NAMES: [&'static str; 16] = [
        "up",
        "stripe",
        "github",
        "gocardless",
        "modern-treasury",
        "demoz",
        "standard-webhooks",
        "svix",
        "convoy",
        "moneykit",
        "plaid",
        "wise",
        "starling",
        "truelayer",
        "adyen",
        "paypal",
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
            "moneykit" => Self::moneykit(),
            "plaid" => Self::plaid(),
            "wise" => Self::wise(),
            "starling" => Self::starling(),
            "truelayer" => Self::truelayer(),
            "adyen" => Self::adyen(),
            "paypal" => Self::paypal(),
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
            expects: Vec::new(),
            body_time: None,
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
            carrier: pairs("t", "v1"),
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

    /// Standard Webhooks: `webhook-id`, `-timestamp` and `-signature` (`v1,…` is an
    /// HMAC, `v1a,…` ed25519) over
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
            carrier: Carrier::Versions(vec![
                ("v1".into(), Algorithm::HmacSha256),
                ("v1a".into(), Algorithm::Ed25519),
            ]),
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
            carrier: pairs("t", "v1"),
            signed: vec![Part::Timestamp, literal(","), Part::Body],
            freshness: Some(USUAL),
            ..Self::convoy()
        }
    }

    /// `MoneyKit`: a JWT (ES256) in `MoneyKit-Signature`, keys by `kid`. Deliveries are retried for
    /// two hours and it is not documented that they are signed anew, so `iat` and the body's
    /// `webhook_timestamp` may be three hours old. <https://docs.moneykit.com/guides/webhooks>
    pub fn moneykit() -> Self {
        Self {
            freshness: Some(Freshness { past_ms: 3 * HOUR_MS, future_ms: TOLERANCE_MS }),
            body_time: Some("/webhook_timestamp".into()),
            ..Self::token("moneykit", "moneykit-signature")
        }
    }

    /// Plaid: a JWT (ES256) in `Plaid-Verification`, keys by `kid` on request; a key with
    /// `expired_at` is not used. <https://plaid.com/docs/api/webhooks/webhook-verification/>
    pub fn plaid() -> Self {
        Self::token("plaid", "plaid-verification")
    }

    pub(super) fn token(name: &str, header: &str) -> Self {
        Self {
            carrier: Carrier::Jwt,
            signed: Vec::new(),
            algorithm: Algorithm::Es256,
            key_encoding: KeyEncoding::Public,
            signature_encoding: SignatureEncoding::Base64Url,
            freshness: Some(USUAL),
            ..Self::hex_of_body(name, header)
        }
    }

    /// Wise: RSA with SHA-256 over the body, in `X-Signature-SHA256`.
    /// <https://docs.wise.com/api-docs/features/webhooks-notifications>
    pub fn wise() -> Self {
        Self {
            algorithm: Algorithm::RsaSha256,
            key_encoding: KeyEncoding::Public,
            signature_encoding: SignatureEncoding::Base64,
            ..Self::hex_of_body("wise", "x-signature-sha256")
        }
    }

    /// Starling, version 2: RSA with SHA-512 over the body, in `X-Hook-Signature`. Version 1, a
    /// plain hash of secret and body, can be extended by anyone and is not offered.
    /// <https://developer.starlingbank.com/docs>
    pub fn starling() -> Self {
        Self {
            algorithm: Algorithm::RsaSha512,
            ..Self { name: "starling".into(), header: "x-hook-signature".into(), ..Self::wise() }
        }
    }

    /// `TrueLayer`: a detached JWS (ES512) in `Tl-Signature` over method, path, listed headers and
    /// body. Parameter `path` is the path that `TrueLayer` posts to. Its deliveries are retried for
    /// 72 hours and it is not documented that they are signed anew, so the signed
    /// `X-Tl-Webhook-Timestamp` may be 73 hours old. <https://github.com/TrueLayer/truelayer-signing>
    pub fn truelayer() -> Self {
        let url = |host: &str| format!("https://{host}/.well-known/jwks");
        let hosts = ["webhooks.truelayer.com", "webhooks.truelayer-sandbox.com"];
        Self {
            carrier: Carrier::DetachedJws { key_urls: hosts.map(url).into() },
            signed: vec![
                literal("POST "),
                Part::Param("path".into()),
                literal("\n"),
                Part::SignedHeaders,
                Part::Body,
            ],
            algorithm: Algorithm::Es512,
            key_encoding: KeyEncoding::Public,
            signature_encoding: SignatureEncoding::Base64Url,
            timestamp_header: Some("x-tl-webhook-timestamp".into()),
            timestamp_form: TimestampForm::Rfc3339,
            freshness: Some(Freshness { past_ms: 73 * HOUR_MS, future_ms: TOLERANCE_MS }),
            ..Self::hex_of_body("truelayer", "tl-signature")
        }
    }

    /// Adyen's standard webhooks: an HMAC in every item of the body, over eight of its fields; all
    /// else in the body is not protected.
    /// <https://docs.adyen.com/development-resources/webhooks/secure-webhooks/verify-hmac-signatures>
    pub fn adyen() -> Self {
        Self {
            carrier: Carrier::Items,
            signed: Vec::new(),
            key_encoding: KeyEncoding::Hex,
            signature_encoding: SignatureEncoding::Base64,
            integrity: Integrity::Partial,
            ..Self::hex_of_body("adyen", "")
        }
    }

    /// `PayPal`: RSA with SHA-256 over `id|time|webhook id|CRC-32 of the body`; a CRC-32 can be
    /// forged, so the body is not protected. Parameter `webhook_id` is the configured webhook's id.
    /// Deliveries are retried for three days, so the signed time may be 73 hours old.
    /// <https://developer.paypal.com/api/rest/webhooks/rest/>
    pub fn paypal() -> Self {
        Self {
            signed: vec![
                Part::Header("paypal-transmission-id".into()),
                literal("|"),
                Part::Timestamp,
                literal("|"),
                Part::Param("webhook_id".into()),
                literal("|"),
                Part::BodyCrc32,
            ],
            timestamp_header: Some("paypal-transmission-time".into()),
            timestamp_form: TimestampForm::Rfc3339,
            freshness: Some(Freshness { past_ms: 73 * HOUR_MS, future_ms: TOLERANCE_MS }),
            expects: vec![
                Expectation::Algorithm {
                    header: "paypal-auth-algo".into(),
                    value: "SHA256withRSA".into(),
                },
                Expectation::KeyUrl {
                    header: "paypal-cert-url".into(),
                    hosts: PAYPAL_HOSTS.map(str::to_owned).into(),
                },
            ],
            integrity: Integrity::Partial,
            ..Self {
                name: "paypal".into(),
                header: "paypal-transmission-sig".into(),
                ..Self::wise()
            }
        }
    }
}

fn pairs(timestamp: &str, signature: &str) -> Carrier {
    Carrier::Pairs { timestamp: Some(timestamp.into()), signatures: vec![signature.into()] }
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
