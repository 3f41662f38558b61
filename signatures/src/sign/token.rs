//! Makes tokens, and the signatures inside a body.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{SignError, Signer};
use crate::headers::Header;
use crate::parse::{self, Piece};
use crate::scheme::Part;

/// A detached token's header, in the order in which `TrueLayer`'s own libraries write it: some
/// receivers compare more than they read.
#[derive(Serialize)]
struct DetachedHeader<'a> {
    alg: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a str>,
    tl_version: &'static str,
    tl_headers: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    jku: Option<&'a str>,
}

fn encoded(json: &Value) -> String {
    URL_SAFE_NO_PAD.encode(json.to_string())
}

impl Signer {
    pub(super) fn jwt(&self, body: &[u8], at: i64) -> Result<Vec<Header>, SignError> {
        let mut header = json!({ "alg": self.scheme.algorithm.jose() });
        if let Some(kid) = &self.kid {
            header["kid"] = kid.clone().into();
        }
        header["typ"] = "JWT".into();
        let claims = json!({
            "iat": at.div_euclid(1000),
            "request_body_sha256": hex::encode(Sha256::digest(body)),
        });
        let signed = format!("{}.{}", encoded(&header), encoded(&claims));
        let value = format!("{signed}.{}", self.token_signature(&signed)?);
        Ok(vec![Header { name: self.scheme.header.clone(), value }])
    }

    pub(super) fn detached(
        &self,
        key_urls: &[String],
        headers: &[Header],
        body: &[u8],
        at: i64,
    ) -> Result<Vec<Header>, SignError> {
        let mut sent = Vec::with_capacity(headers.len() + 2);
        let timestamp = self.scheme.timestamp_form.write(at);
        if let Some(name) = &self.scheme.timestamp_header {
            sent.push(Header { name: name.clone(), value: timestamp.clone() });
        }
        sent.extend_from_slice(headers);
        let names: Vec<_> = sent.iter().map(|header| header.name.as_str()).collect();
        let header = DetachedHeader {
            alg: self.scheme.algorithm.jose(),
            kid: self.kid.as_deref(),
            tl_version: "2",
            tl_headers: names.join(","),
            jku: key_urls.first().map(String::as_str),
        };
        let header = serde_json::to_string(&header).map_err(|_| SignError::Key)?;
        let header = URL_SAFE_NO_PAD.encode(header);
        let mut payload = Vec::new();
        for part in &self.scheme.signed {
            match part {
                Part::SignedHeaders => payload.extend(
                    sent.iter().flat_map(|it| format!("{}: {}\n", it.name, it.value).into_bytes()),
                ),
                part => payload.extend(parse::piece(part, &timestamp, body).bytes.as_ref()),
            }
        }
        let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(payload));
        let value = format!("{header}..{}", self.token_signature(&signed)?);
        sent.insert(0, Header { name: self.scheme.header.clone(), value });
        Ok(sent)
    }

    fn token_signature(&self, signed: &str) -> Result<String, SignError> {
        let piece = Piece { part: "token", bytes: Cow::Borrowed(signed.as_bytes()) };
        let signature = self.key.sign(&[piece]).ok_or(SignError::Key)?;
        Ok(URL_SAFE_NO_PAD.encode(signature))
    }

    /// The body with the signature of each of its items set (Adyen); everything else stays.
    pub fn sign_items(&self, body: &[u8]) -> Result<Vec<u8>, SignError> {
        let mut body: Value = serde_json::from_slice(body).map_err(|_| SignError::Items)?;
        let items = body.get_mut("notificationItems").and_then(Value::as_array_mut);
        for wrapped in items.ok_or(SignError::Items)? {
            let item = wrapped.get_mut("NotificationRequestItem").and_then(Value::as_object_mut);
            let item = item.ok_or(SignError::Items)?;
            let signed = parse::item_text(&Value::Object(item.clone()).to_string())
                .map_err(|_| SignError::Items)?;
            let piece = Piece { part: "item", bytes: Cow::Owned(signed.into_bytes()) };
            let signature = self.key.sign(&[piece]).ok_or(SignError::Key)?;
            let signature = self.scheme.signature_encoding.encode(&signature);
            let data = item.entry("additionalData").or_insert_with(|| json!({}));
            let data = data.as_object_mut().ok_or(SignError::Items)?;
            data.insert("hmacSignature".into(), signature.into());
        }
        Ok(body.to_string().into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use openssl::ec::{EcGroup, EcKey};
    use openssl::nid::Nid;
    use openssl::pkey::PKey;

    use super::*;
    use crate::scheme::Scheme;
    use crate::secret::Secret;

    #[test]
    fn a_detached_token_is_written_as_truelayer_s_libraries_write_it() {
        let group = EcGroup::from_curve_name(Nid::SECP521R1).unwrap();
        let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
        let key = Secret::new(key.private_key_to_pem_pkcs8().unwrap()).unwrap();
        let scheme = Scheme::truelayer().with_param("path", "/hook").unwrap();
        let signer = Signer::new(scheme, &key).unwrap();
        let header = |signer: &Signer| {
            let content = Header { name: "Content-Type".into(), value: "text/plain".into() };
            let sent = signer.sign(&[content], b"{}", 0).unwrap();
            let header = sent[0].value.split('.').next().unwrap().to_owned();
            String::from_utf8(URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap()
        };
        let rest = "\"tl_version\":\"2\",\
                    \"tl_headers\":\"x-tl-webhook-timestamp,Content-Type\",\
                    \"jku\":\"https://webhooks.truelayer.com/.well-known/jwks\"}";
        assert_eq!(header(&signer), format!("{{\"alg\":\"ES512\",{rest}"));
        assert_eq!(
            header(&signer.named("k1")),
            format!("{{\"alg\":\"ES512\",\"kid\":\"k1\",{rest}")
        );
    }
}
