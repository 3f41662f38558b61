//! Adyen's signatures inside the body: one for each item, over eight of its fields.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::{Candidate, Given, Piece, Proof};
use crate::reason::Reason;
use crate::scheme::Scheme;

/// Items of one body; Adyen sends one, older accounts up to six.
const ITEMS_MAX: usize = 64;

/// Place of the merchant's reference among the signed fields.
const MERCHANT_REFERENCE: usize = 3;

/// Fields given twice are refused by the reader: two programs could read two values.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    notification_items: Vec<Wrapped>,
}

#[derive(Deserialize)]
struct Wrapped {
    #[serde(rename = "NotificationRequestItem")]
    item: Item,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    psp_reference: Option<String>,
    original_reference: Option<String>,
    merchant_account_code: Option<String>,
    merchant_reference: Option<String>,
    amount: Option<Amount>,
    event_code: Option<String>,
    success: Option<String>,
    additional_data: Option<Additional>,
}

#[derive(Deserialize)]
struct Amount {
    value: Option<i64>,
    currency: Option<String>,
}

#[derive(Deserialize)]
struct Additional {
    #[serde(rename = "hmacSignature")]
    hmac_signature: Option<String>,
}

/// Every item's signature and what it is over; all must hold. A body that cannot be read is an
/// invalid payload.
pub(super) fn given<'a>(scheme: &'a Scheme, body: &'a [u8]) -> Result<Given<'a>, Reason> {
    let proofs = items(body)?.into_iter().map(|wrapped| wrapped.item.proof(scheme));
    Ok(Given {
        timestamp: Cow::Borrowed(""),
        headers: Vec::new(),
        proofs: proofs.collect::<Result<_, _>>()?,
        token: None,
    })
}

fn items(body: &[u8]) -> Result<Vec<Wrapped>, Reason> {
    // the reader passes over what it does not need, whatever its bytes
    let text = std::str::from_utf8(body).map_err(|_| Reason::InvalidPayload)?;
    let body: Body = serde_json::from_str(text).map_err(|_| Reason::InvalidPayload)?;
    let is_batch = (1..=ITEMS_MAX).contains(&body.notification_items.len());
    if is_batch { Ok(body.notification_items) } else { Err(Reason::InvalidPayload) }
}

/// One hash, in lower-case hex, of what is signed in a body's items. The items are a set here: nobody
/// signs their order or their number, so whoever has them could turn them round or repeat them.
pub(crate) fn items_sha256(body: &[u8]) -> Option<String> {
    let hash = |wrapped: Wrapped| wrapped.item.signed().ok().map(Sha256::digest);
    let hashes = items(body).ok()?.into_iter().map(hash).collect::<Option<BTreeSet<_>>>()?;
    let all = hashes.into_iter().fold(Sha256::new(), Sha256::chain_update);
    Some(hex::encode(all.finalize()))
}

/// What the signature of one item, as JSON text, is over.
pub(crate) fn item_text(item: &str) -> Result<String, Reason> {
    let item: Item = serde_json::from_str(item).map_err(|_| Reason::InvalidPayload)?;
    item.signed()
}

impl Item {
    fn proof<'a>(self, scheme: &Scheme) -> Result<Proof<'a>, Reason> {
        let signed = self.signed()?;
        let signature = self.additional_data.and_then(|it| it.hmac_signature);
        let signature = signature.ok_or(Reason::MissingHeaders)?;
        let candidate: Candidate = super::carried::one(scheme, &signature)?;
        let bytes = Cow::Owned(signed.into_bytes());
        Ok(Proof { pieces: vec![Piece { part: "item", bytes }], candidates: vec![candidate] })
    }

    /// The eight fields; what is missing is empty.
    ///
    /// They are joined by colons and not escaped, so a colon in one could be the border to the next:
    /// other fields under the same signature. Only the merchant's own reference may hold any; then
    /// there is one way to take the text apart.
    fn signed(&self) -> Result<String, Reason> {
        let amount = self.amount.as_ref();
        let value = amount.and_then(|it| it.value).map(|value| value.to_string());
        let currency = amount.and_then(|it| it.currency.clone());
        let fields = [
            &self.psp_reference,
            &self.original_reference,
            &self.merchant_account_code,
            &self.merchant_reference,
            &value,
            &currency,
            &self.event_code,
            &self.success,
        ]
        .map(|field| field.as_deref().unwrap_or_default());
        let is_free = |index: usize| index == MERCHANT_REFERENCE;
        let is_ambiguous =
            fields.iter().enumerate().any(|(index, text)| !is_free(index) && text.contains(':'));
        if is_ambiguous { Err(Reason::InvalidPayload) } else { Ok(fields.join(":")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_not_text_are_refused_also_where_nothing_is_signed() {
        let body = |note: &[u8]| {
            let front = br#"{"notificationItems":[{"NotificationRequestItem":{"additionalData":
                {"hmacSignature":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="},"reason":""#;
            [&front[..], note, b"\"}}]}"].concat()
        };
        let scheme = Scheme::adyen();
        assert!(given(&scheme, &body(b"text")).is_ok());
        assert_eq!(given(&scheme, &body(b"\xff")).err(), Some(Reason::InvalidPayload));
    }

    #[test]
    fn fields_are_joined_in_order_and_taken_apart_in_one_way_only() {
        #[track_caller]
        fn check(item: &str, expect: Result<&str, Reason>) {
            assert_eq!(item_text(item), expect.map(str::to_owned), "{item}");
        }
        check("{}", Ok(":::::::"));
        check(
            r#"{"pspReference":"P","originalReference":"O","merchantAccountCode":"M",
            "merchantReference":"R:1","amount":{"value":-1099,"currency":"AUD"},
            "eventCode":"CAPTURE","success":"true","other":":"}"#,
            Ok("P:O:M:R:1:-1099:AUD:CAPTURE:true"),
        );
        check(r#"{"merchantReference":null,"amount":null}"#, Ok(":::::::"));
        for field in ["pspReference", "originalReference", "merchantAccountCode", "eventCode"] {
            check(&format!("{{\"{field}\":\"a:b\"}}"), Err(Reason::InvalidPayload));
        }
        check(r#"{"amount":{"currency":"A:D"}}"#, Err(Reason::InvalidPayload));
        check(r#"{"success":":"}"#, Err(Reason::InvalidPayload));
        for value in ["10.5", "1e3", "\"10\"", "9223372036854775808"] {
            check(&format!("{{\"amount\":{{\"value\":{value}}}}}"), Err(Reason::InvalidPayload));
        }
        check(r#"{"success":"true","success":"false"}"#, Err(Reason::InvalidPayload));
        check(r#"{"success":true}"#, Err(Reason::InvalidPayload));
    }
}
