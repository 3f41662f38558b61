//! A request that the source's declaration reads as an event, with the id of a canary.

use anyhow::Context as _;
use schemas::canary::EVENT_ID_PREFIX;
use serde_json::{Map, Value};
use signatures::source::{Place, Preset, SourceConfig, TimeForm};
use signatures::{Header, Part};

/// The event's type, where the provider has no harmless one of its own.
const KIND: &str = "bankstream.canary";

/// What is posted, but for the signature.
#[derive(Debug)]
pub(super) struct Probe {
    pub(super) id: String,
    pub(super) headers: Vec<Header>,
    pub(super) body: Vec<u8>,
}

impl Probe {
    /// A new one of `source`, at a time in milliseconds.
    pub(super) fn new(source: &SourceConfig, at: i64) -> anyhow::Result<Self> {
        let id = format!("{EVENT_ID_PREFIX}{}", uuid::Uuid::new_v4().simple());
        let time = jiff::Timestamp::from_millisecond(at).context("reading the clock")?;
        let time = match source.event.time_form {
            TimeForm::Rfc3339 => Value::from(time.to_string()),
            TimeForm::UnixSeconds => Value::from(time.as_second()),
        };
        let kind = match source.preset {
            // what Up itself sends to try a webhook, so that nobody mistakes it for money
            Preset::Up => "PING",
            _ => KIND,
        };
        let mut draft = Draft::default();
        anyhow::ensure!(
            draft.put(&source.event.id, &Value::from(id.clone())),
            "source `{}` cannot have a canary, because its event ids are made of the body or the \
             signature: declare a source of its own for it, such as `preset = \"standard-webhooks\"`",
            source.name
        );
        draft.put(&source.event.kind, &Value::from(kind));
        draft.put(&source.event.time, &time);
        if let Some(place) = &source.scheme.body_time {
            insert(&mut draft.body, place, &time);
        }
        for part in &source.scheme.signed {
            if let Part::Header(name) = part
                && draft.headers.iter().all(|header| header.name != *name)
            {
                draft.headers.push(Header { name: name.clone(), value: id.clone() });
            }
        }
        let body = draft.body.to_string().into_bytes();
        Ok(Self { id, headers: draft.headers, body })
    }
}

#[derive(Debug)]
struct Draft {
    headers: Vec<Header>,
    body: Value,
}

impl Default for Draft {
    fn default() -> Self {
        Self { headers: Vec::new(), body: Value::Object(Map::new()) }
    }
}

impl Draft {
    /// Puts a value where the ingress will read it; false where it cannot be chosen.
    fn put(&mut self, place: &Place, value: &Value) -> bool {
        match place {
            Place::Pointer(pointer) | Place::PointerOr(pointer, _) => {
                insert(&mut self.body, pointer, value)
            }
            Place::Header(name) => {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                self.headers.push(Header { name: name.clone().into_owned(), value });
                true
            }
            Place::HeaderSha256(_)
            | Place::TokenSha256(_)
            | Place::ItemsSha256
            | Place::BodySha256
            | Place::Fixed(_)
            | Place::Nowhere => false,
        }
    }
}

/// Puts `value` at a JSON pointer; steps of digits become places of an array.
fn insert(root: &mut Value, pointer: &str, value: &Value) -> bool {
    let mut at = root;
    for step in pointer.split('/').skip(1) {
        let name = step.replace("~1", "/").replace("~0", "~");
        if let Ok(index) = name.parse::<u8>() {
            if !at.is_array() {
                *at = Value::Array(Vec::new());
            }
            let Value::Array(list) = at else { return false };
            let index = usize::from(index);
            list.resize(list.len().max(index.saturating_add(1)), Value::Null);
            let Some(next) = list.get_mut(index) else { return false };
            at = next;
        } else {
            if !at.is_object() {
                *at = Value::Object(Map::new());
            }
            let Value::Object(fields) = at else { return false };
            at = fields.entry(name).or_insert(Value::Null);
        }
    }
    *at = value.clone();
    true
}

#[cfg(test)]
mod tests {
    use signatures::source::SourceConfig;
    use signatures::{Secret, Signer, Verifier};

    use super::*;

    const NOW: i64 = 1_772_501_000_000;

    fn source(table: &str) -> SourceConfig {
        let table = format!(
            "path = \"/webhooks/one\"\nsecrets = [{{ id = \"env\", env = \"X\" }}]\n{table}"
        );
        let table: toml::Table = table.parse().unwrap();
        SourceConfig::from_table("topology.toml", "one", table.into()).unwrap()
    }

    #[test]
    fn a_probe_passes_the_door_of_every_scheme_with_a_shared_secret_and_has_a_canary_s_id() {
        #[track_caller]
        fn check(table: &str, secret: &str) {
            let source = source(table);
            let secret = Secret::new(secret).unwrap();
            let probe = Probe::new(&source, NOW).unwrap();
            let signer = Signer::new(source.scheme.clone(), &secret).unwrap();
            let mut headers = signer.sign(&probe.headers, &probe.body, NOW).unwrap();
            for header in probe.headers {
                if headers.iter().all(|signed| signed.name != header.name) {
                    headers.push(header);
                }
            }
            let verifier =
                Verifier::new(source.scheme.clone(), vec![("k".into(), secret)]).unwrap();
            verifier.verify(&headers, &probe.body, NOW).unwrap();
            let event = source.event.read_from(&headers, &probe.body).unwrap();
            assert_eq!(event.id, probe.id, "{table}");
            assert!(event.id.starts_with("bankstream-canary-"));
        }
        for preset in ["up", "stripe", "github", "modern-treasury", "demoz"] {
            check(&format!("preset = \"{preset}\""), "a-secret-of-some-length");
        }
        for preset in ["standard-webhooks", "svix"] {
            check(&format!("preset = \"{preset}\""), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        }
        check("preset = \"convoy\"\nparams = { mode = \"advanced\" }", "a-secret-of-some-length");
        check(
            "preset = \"free\"\n\
             scheme = { header = \"x-sig\", signed = \"{body}\", algorithm = \"hmac-sha256\" }\n\
             event = { id = \"/events/0/id\", kind = \"fixed:batch\", subject = \"/a~1b\" }",
            "a-secret-of-some-length",
        );
    }

    #[test]
    fn a_source_whose_ids_nobody_chooses_has_no_canary_and_the_error_says_what_to_do() {
        for preset in ["gocardless", "plaid"] {
            let error = Probe::new(&source(&format!("preset = \"{preset}\"")), NOW).unwrap_err();
            assert!(error.to_string().contains("declare a source of its own"), "{error}");
        }
    }
}
