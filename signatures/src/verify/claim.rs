//! Which key a request says it is signed with.

use super::Verifier;
use crate::headers::Headers;
use crate::key::Named;
use crate::parse::{self, Given};
use crate::scheme::Expectation;

impl Verifier {
    /// The key that a request names, if it names one: the `kid` of its token, or the address of its
    /// certificate. Nothing of it is proven. `None` where the request is not of the scheme's form.
    pub fn claimed_key(
        &self,
        headers: &(impl Headers + ?Sized),
        body: &[u8],
    ) -> Option<Option<String>> {
        let given = parse::given(&self.scheme, headers, body).ok()?;
        Some(self.claimed(&given).map(str::to_owned))
    }

    /// Ids of the keys with the milliseconds until which each is used, both ends included; `None`
    /// has no end.
    pub fn key_ends(&self) -> impl Iterator<Item = (&str, Option<i64>)> {
        self.keys.iter().map(|(id, named)| (id.as_str(), named.not_after))
    }

    /// Whether the request may be of this key.
    pub(super) fn is_named(&self, named: &Named, given: &Given<'_>) -> bool {
        let Some(kid) = &named.kid else { return true };
        match self.claimed(given) {
            Some(claimed) => kid == claimed,
            // a token that names no key is not one of those with names
            None => given.token.is_none(),
        }
    }

    fn claimed<'g>(&self, given: &'g Given<'_>) -> Option<&'g str> {
        if let Some(token) = &given.token {
            return token.kid.as_deref();
        }
        let is_url = |name: &str| {
            let mut expects = self.scheme.expects.iter();
            expects.any(|it| matches!(it, Expectation::KeyUrl { header, .. } if header == name))
        };
        given.headers.iter().find(|(name, _)| is_url(name)).map(|(_, value)| *value)
    }
}
