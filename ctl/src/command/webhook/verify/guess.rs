//! What else a rejected request would fit: a key in another spelling, another scheme.
use signatures::{Explanation, KeyEncoding, Scheme, Secret, Verifier, explain};

/// A request that no key fits.
pub(super) struct Rejected<'a> {
    pub(super) scheme: &'a Scheme,
    pub(super) secrets: &'a [(String, Secret)],
    pub(super) headers: &'a [(String, Vec<u8>)],
    pub(super) body: &'a [u8],
    pub(super) now: i64,
}

impl Rejected<'_> {
    /// One sentence for each guess that fits.
    pub(super) fn guesses(&self, told: &Explanation) -> Vec<String> {
        if told.reason.is_none() || told.key_id.is_some() {
            return Vec::new();
        }
        self.keys().into_iter().chain(self.schemes()).collect()
    }

    /// Keys copied with something around them, or in another encoding than the scheme's.
    fn keys(&self) -> Vec<String> {
        let encodings = [
            (KeyEncoding::Utf8, "text"),
            (KeyEncoding::Hex, "hex"),
            (KeyEncoding::Base64, "base64"),
            (KeyEncoding::StandardWebhooks, "`whsec_` and base64"),
        ];
        let mut guesses = Vec::new();
        for (id, secret) in self.secrets {
            for (what, secret) in secret.variants() {
                if self.fits(self.scheme.clone(), secret) {
                    guesses.push(format!("key `{id}` fits {what}"));
                }
            }
            // a public key has one reading
            let is_shared = self.scheme.key_encoding != KeyEncoding::Public;
            for (key_encoding, name) in encodings.into_iter().filter(|_| is_shared) {
                let other = Scheme { key_encoding, ..self.scheme.clone() };
                let is_other = key_encoding != self.scheme.key_encoding;
                if is_other && self.fits(other, secret.clone()) {
                    guesses.push(format!(
                        "key `{id}` fits when it is read as {name}, which this scheme's keys are not"
                    ));
                }
            }
        }
        guesses
    }

    fn schemes(&self) -> Vec<String> {
        let named = Scheme::NAMES
            .iter()
            .filter_map(|name| Scheme::by_name(name).map(|scheme| (format!("`{name}`"), scheme)));
        let advanced =
            ("`convoy` with `--param mode=advanced`".to_owned(), Scheme::convoy_advanced());
        let simple = ("`convoy` with `--param mode=simple`".to_owned(), Scheme::convoy());
        let named = named.filter(|(_, scheme)| scheme.name != "convoy");
        let all = named.chain([advanced, simple]).filter(|(_, scheme)| scheme != self.scheme);
        let fits = all.filter(|(_, scheme)| {
            scheme.missing_params().next().is_none()
                && self.secrets.iter().any(|(_, key)| self.fits(scheme.clone(), key.clone()))
        });
        fits.map(|(name, _)| format!("the request and a key fit scheme {name}")).collect()
    }

    /// Whether the key made a signature of the request by the scheme, whatever the time.
    fn fits(&self, scheme: Scheme, secret: Secret) -> bool {
        Verifier::new(scheme, vec![("guess".to_owned(), secret)]).is_ok_and(|verifier| {
            let told = explain(&verifier, self.headers, self.body, self.now);
            told.key_id.is_some()
        })
    }
}

#[cfg(test)]
mod tests {
    use signatures::{Header, Scheme, Secret, Signer, Verifier, explain, sign};

    use super::Rejected;

    const AT: i64 = 1_767_323_045_000;

    #[track_caller]
    fn check(scheme: &Scheme, key: &str, headers: &[Header], expect: &[&str]) {
        let secrets = [("K".to_owned(), Secret::new(key).unwrap())];
        let raw = |header: &Header| (header.name.clone(), header.value.clone().into_bytes());
        let headers: Vec<_> = headers.iter().map(raw).collect();
        let verifier = Verifier::new(scheme.clone(), secrets.to_vec()).unwrap();
        let told = explain(&verifier, &headers, b"{}", AT);
        let (secrets, headers) = (&secrets[..], &headers[..]);
        let rejected = Rejected { scheme, secrets, headers, body: b"{}", now: AT };
        assert_eq!(rejected.guesses(&told), expect, "{key}");
    }

    #[test]
    fn a_key_that_was_copied_badly_is_recognised() {
        let stripe = Scheme::stripe();
        let signed = sign(&stripe, &Secret::new("whsec_AAECAw==").unwrap(), b"{}", AT);
        check(&stripe, "whsec_AAECAw==", &signed, &[]);
        check(&stripe, " whsec_AAECAw==", &signed, &["key `K` fits without the space around it"]);
        check(
            &stripe,
            "\"whsec_AAECAw==\"",
            &signed,
            &["key `K` fits without the quotes around it"],
        );
        check(&stripe, "AAECAw==", &signed, &["key `K` fits with `whsec_` in front"]);
        check(&stripe, "another", &signed, &[]);
    }

    #[test]
    fn a_key_in_another_encoding_and_another_scheme_are_recognised() {
        let secret = Secret::new("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX").unwrap();
        let text = Scheme { key_encoding: signatures::KeyEncoding::Utf8, ..Scheme::svix() };
        let id = [Header { name: "svix-id".into(), value: "m1".into() }];
        let signed = Signer::new(text, &secret).unwrap().sign(&id, b"{}", AT).unwrap();
        check(
            &Scheme::svix(),
            "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX",
            &signed,
            &["key `K` fits when it is read as text, which this scheme's keys are not"],
        );
        let signed = sign(&Scheme::convoy_advanced(), &Secret::new("k").unwrap(), b"{}", AT);
        check(
            &Scheme::convoy(),
            "k",
            &signed,
            &["the request and a key fit scheme `convoy` with `--param mode=advanced`"],
        );
    }
}
