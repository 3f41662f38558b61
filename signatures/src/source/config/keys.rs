//! Where a source's keys are: secrets on this machine, and keys that the provider publishes.

use std::path::{Path, PathBuf};

use super::check::{Check, URL_EXPECTED, is_host, is_key_url, is_name};
use super::error::SourceError;
use super::table::{CertificatesTable, KeyRequestTable, SecretTable, SiteTable, Table};
use crate::scheme::{Carrier, Expectation, KeyEncoding, Scheme};

/// Secrets of one source. Two are a rotation; more than this is a mistake, and each costs an HMAC
/// per request.
const SECRETS_MAX: usize = 8;

/// Hosts that certificates may come from.
const HOSTS_MAX: usize = 8;

/// The name in the certificates that `PayPal` signs webhooks with.
const PAYPAL_NAME: &str = "messageverificationcerts.paypal.com";

/// Where a secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretRef {
    /// Key id, recorded with every request that this secret verified.
    pub id: String,
    /// Where its text is.
    pub site: SecretSite,
    /// Whether it may be absent.
    pub optional: bool,
    /// Milliseconds from which on it is used.
    pub not_before: Option<i64>,
    /// Milliseconds until which it is used, both ends included.
    pub not_after: Option<i64>,
}

/// The place of a secret's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSite {
    /// An environment variable; where it is not set, the file that the variable of this name and
    /// `_FILE` names.
    Env(String),
    /// A file; re-read when it changes.
    File(PathBuf),
}

/// Keys that the provider publishes. Their place is configuration: a request never chooses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RemoteKeys {
    /// A set of keys (RFC 7517, section 5) at one address.
    Set {
        /// The address.
        url: String,
        /// What to show there as a bearer token, where that is asked for.
        token: Option<SecretSite>,
    },
    /// One key for each id: a JSON `{client_id, secret, key_id}` is posted, `{key: …}` is the
    /// answer, as Plaid has it.
    OnRequest {
        /// The address.
        url: String,
        /// Our name there.
        client_id: SecretSite,
        /// Our password there.
        secret: SecretSite,
    },
    /// Certificates, at addresses that requests name; the scheme pins their hosts
    /// ([`Expectation::KeyUrl`]).
    Certificates {
        /// The name that a certificate must be for.
        name: String,
        /// A file with the roots to trust, in PEM; those of the machine without it.
        roots: Option<PathBuf>,
    },
}

impl RemoteKeys {
    /// What it is, in a word.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Set { .. } => "key set",
            Self::OnRequest { .. } => "keys on request",
            Self::Certificates { .. } => "certificates",
        }
    }

    pub(super) fn anchor_files(&mut self, folder: &Path) {
        match self {
            Self::Set { token, .. } => token.iter_mut().for_each(|site| site.anchor(folder)),
            Self::OnRequest { client_id, secret, .. } => {
                client_id.anchor(folder);
                secret.anchor(folder);
            }
            Self::Certificates { roots, .. } => {
                if let Some(file) = roots {
                    *file = folder.join(&file);
                }
            }
        }
    }
}

impl SecretSite {
    pub(super) fn anchor(&mut self, folder: &Path) {
        if let Self::File(path) = self {
            *path = folder.join(&path);
        }
    }
}

impl Check<'_> {
    /// The secrets; where keys are fetched there may be none.
    pub(super) fn secrets(
        &self,
        tables: Vec<SecretTable>,
        is_fetched: bool,
    ) -> Result<Vec<SecretRef>, SourceError> {
        let count = tables.len();
        let counted = (usize::from(!is_fetched)..=SECRETS_MAX).contains(&count);
        self.that(counted, "secrets", &format!("{count} entries"), "1 to 8 entries")?;
        let mut refs: Vec<SecretRef> = Vec::with_capacity(count);
        for SecretTable { id, env, file, optional, not_before, not_after } in tables {
            self.that(is_name(&id), "secrets.id", &id, "1 to 64 of `a-z`, `0-9`, `-`, `_`")?;
            let unique = refs.iter().all(|other| other.id != id);
            self.that(unique, "secrets.id", &id, "an id that no other secret of the source has")?;
            let site = self.site("secrets", &id, SiteTable { env, file })?;
            let not_before = self.time("secrets.not_before", not_before)?;
            let not_after = self.time("secrets.not_after", not_after)?;
            refs.push(SecretRef { id, site, optional, not_before, not_after });
        }
        Ok(refs)
    }

    /// The keys to fetch, where the table has some; takes what it needs of it. Pins of the scheme
    /// are narrowed to what is configured.
    pub(super) fn remote(
        &self,
        table: &mut Table,
        scheme: &mut Scheme,
    ) -> Result<Option<RemoteKeys>, SourceError> {
        let url = table.jwks_url.take();
        let token = table.jwks_token.take();
        let places = (url, table.key_request.take(), table.certificates.take());
        self.that(
            token.is_none() || places.0.is_some(),
            "jwks_token",
            "",
            "`jwks_url` beside it: it is shown there",
        )?;
        match places {
            (None, None, None) => Ok(None),
            (Some(url), None, None) => self.set(url, token, scheme).map(Some),
            (None, Some(request), None) => self.on_request(request, scheme).map(Some),
            (None, None, Some(table)) => self.certificates(table, scheme).map(Some),
            _ => Err(self.error(
                "jwks_url",
                "",
                "one of `jwks_url`, `key_request` and `certificates`, not two",
            )),
        }
    }

    fn set(
        &self,
        url: String,
        token: Option<SiteTable>,
        scheme: &mut Scheme,
    ) -> Result<RemoteKeys, SourceError> {
        self.that(is_key_url(&url), "jwks_url", &url, URL_EXPECTED)?;
        self.that(
            scheme.key_encoding == KeyEncoding::Public,
            "jwks_url",
            &url,
            "no such key: this scheme's secrets are shared ones",
        )?;
        if let Carrier::DetachedJws { key_urls } = &mut scheme.carrier {
            // one environment's keys are not the other's
            if key_urls.contains(&url) {
                key_urls.retain(|pinned| *pinned == url);
            } else {
                key_urls.push(url.clone());
            }
        }
        let token = token.map(|site| self.site("jwks_token", "", site)).transpose()?;
        Ok(RemoteKeys::Set { url, token })
    }

    fn on_request(
        &self,
        table: KeyRequestTable,
        scheme: &Scheme,
    ) -> Result<RemoteKeys, SourceError> {
        let KeyRequestTable { url, client_id, secret } = table;
        self.that(is_key_url(&url), "key_request.url", &url, URL_EXPECTED)?;
        let is_named = scheme.carrier == Carrier::Jwt;
        self.that(is_named, "key_request", &url, "a scheme whose tokens name their key")?;
        let client_id = self.site("key_request.client_id", "", client_id)?;
        let secret = self.site("key_request.secret", "", secret)?;
        Ok(RemoteKeys::OnRequest { url, client_id, secret })
    }

    fn certificates(
        &self,
        table: CertificatesTable,
        scheme: &mut Scheme,
    ) -> Result<RemoteKeys, SourceError> {
        let CertificatesTable { hosts, name, roots } = table;
        let pins = scheme.expects.iter_mut().find_map(|expectation| match expectation {
            Expectation::KeyUrl { hosts, .. } => Some(hosts),
            Expectation::Algorithm { .. } => None,
        });
        let pins = pins.ok_or_else(|| {
            self.error("certificates", "", "a scheme whose requests name their certificate")
        })?;
        if let Some(hosts) = hosts {
            let counted = (1..=HOSTS_MAX).contains(&hosts.len());
            let fit = counted && hosts.iter().all(|host| is_host(host));
            let expected = "1 to 8 hosts such as `api.paypal.com`";
            self.that(fit, "certificates.hosts", &hosts.join(", "), expected)?;
            *pins = hosts;
        }
        let name = name.unwrap_or_else(|| PAYPAL_NAME.to_owned());
        self.that(is_host(&name), "certificates.name", &name, "a host's name")?;
        Ok(RemoteKeys::Certificates { name, roots })
    }

    fn site(
        &self,
        key: &'static str,
        value: &str,
        table: SiteTable,
    ) -> Result<SecretSite, SourceError> {
        match (table.env, table.file) {
            (Some(name), None) if !name.is_empty() => Ok(SecretSite::Env(name)),
            (None, Some(path)) if !path.as_os_str().is_empty() => Ok(SecretSite::File(path)),
            _ => Err(self.error(key, value, "either `env` or `file`, not empty")),
        }
    }

    fn time(&self, key: &'static str, text: Option<String>) -> Result<Option<i64>, SourceError> {
        let read = |text: String| {
            let time = text.parse::<jiff::Timestamp>().map(jiff::Timestamp::as_millisecond);
            time.map_err(|_| self.error(key, &text, "a time such as `2026-01-02T03:04:05Z`"))
        };
        text.map(read).transpose()
    }
}
