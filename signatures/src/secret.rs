//! A shared secret that cannot be printed.

use std::fmt;

/// What is wrong with a secret as configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// An empty key makes signatures that anybody can make.
    #[error("the secret is empty")]
    Empty,
    /// The same: nothing stands behind the prefix of a key's text.
    #[error("the secret is empty: there is nothing behind its prefix `{0}`")]
    Prefix(&'static str),
}

/// What the texts of keys begin with, as Standard Webhooks and Stripe write them.
const PREFIXES: [&str; 3] = ["whsec_", "whpk_", "whsk_"];

/// A shared secret, as the provider shows it. Its bytes are never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    bytes: Vec<u8>,
    not_before: Option<i64>,
    not_after: Option<i64>,
}

impl Secret {
    /// Takes the secret as written; line breaks at its end (from a file or a shell) are dropped.
    pub fn new(secret: impl Into<Vec<u8>>) -> Result<Self, SecretError> {
        let mut bytes = secret.into();
        while bytes.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
            bytes.pop();
        }
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Err(SecretError::Empty);
        }
        if let Some(prefix) = PREFIXES.iter().find(|it| it.as_bytes() == bytes.trim_ascii()) {
            return Err(SecretError::Prefix(prefix));
        }
        Ok(Self { bytes, not_before: None, not_after: None })
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The secret, used by a verifier only from `not_before` to `not_after`, both included, in
    /// milliseconds; `None` sets no bound.
    #[must_use]
    pub fn valid(self, not_before: Option<i64>, not_after: Option<i64>) -> Self {
        Self { not_before, not_after, ..self }
    }

    /// The secret as it may have been meant, each with what is done to it: a copy often comes with
    /// something around it, or without its prefix.
    pub fn variants(&self) -> Vec<(&'static str, Self)> {
        let Ok(text) = std::str::from_utf8(&self.bytes) else { return Vec::new() };
        let quotes = ['"', '\''];
        let bare = text.strip_prefix("whsec_");
        [
            ("without the space around it", Some(text.trim().to_owned())),
            ("without the quotes around it", Some(text.trim().trim_matches(quotes).to_owned())),
            ("without `whsec_` in front", bare.map(str::to_owned)),
            ("with `whsec_` in front", bare.is_none().then(|| format!("whsec_{text}"))),
        ]
        .into_iter()
        .filter_map(|(what, text)| Some((what, Self::new(text?).ok()?)))
        .filter(|(_, secret)| secret.bytes != self.bytes)
        .fold(Vec::new(), |mut all: Vec<(_, Self)>, one| {
            if all.iter().all(|(_, known)| *known != one.1) {
                all.push(one);
            }
            all
        })
    }

    pub(crate) fn bounds(&self) -> (Option<i64>, Option<i64>) {
        (self.not_before, self.not_after)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_secret_is_refused_and_a_final_line_break_does_not_count() {
        for empty in ["", "\n", "\r\n", "  \n"] {
            assert_eq!(Secret::new(empty), Err(SecretError::Empty));
        }
        for prefix in ["whsec_", "whpk_", "whsk_"] {
            assert_eq!(Secret::new(prefix), Err(SecretError::Prefix(prefix)));
            assert_eq!(Secret::new(format!(" {prefix} \n")), Err(SecretError::Prefix(prefix)));
            assert!(Secret::new(format!("{prefix}a")).is_ok());
        }
        assert_eq!(Secret::new("abc\r\n"), Secret::new("abc"));
        assert_ne!(Secret::new(" abc"), Secret::new("abc"));
    }

    #[test]
    fn a_secret_is_not_printed() {
        assert_eq!(format!("{:?}", Secret::new("hunter2").unwrap()), "Secret(redacted)");
    }
}
