//! Where the bank is and how long to wait for it.

use std::time::Duration;

use reqwest::Url;

use super::retry::RetryPolicy;
use crate::secret::Token;
use crate::target::is_loopback;

/// How long one request may take, its body included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Where the bank is, and the token it knows us by.
#[derive(Clone, Debug)]
pub struct UpConfig {
    pub(super) base: Url,
    pub(super) token: Token,
    pub(super) timeout: Duration,
    pub(super) retry: RetryPolicy,
}

/// Why a base URL cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpConfigError {
    /// Not a URL.
    #[error("`{url}` is not a URL: expected something like `https://api.up.com.au/api/v1`")]
    NotAUrl {
        /// The text.
        url: String,
    },
    /// Neither http nor https, no host, or with user, query or fragment.
    #[error(
        "`{url}` cannot be the bank's base: expected `https://host/path` and nothing else (no user, no `?`, no `#`)"
    )]
    NotABase {
        /// The text, without a password.
        url: String,
    },
    /// Somewhere beyond this machine's own network without encryption.
    #[error("the token must not travel unencrypted to `{host}`: use https")]
    Unencrypted {
        /// The host.
        host: String,
    },
}

impl UpConfig {
    /// The API's base, for the real bank `https://api.up.com.au/api/v1`. Plain http is taken for
    /// hosts of one's own (a sandbox), never for the bank's domain.
    pub fn new(base_url: &str, token: Token) -> Result<Self, UpConfigError> {
        let base = Url::parse(base_url.trim_end_matches('/'))
            .map_err(|_| UpConfigError::NotAUrl { url: base_url.to_owned() })?;
        check_base(&base)?;
        Ok(Self { base, token, timeout: REQUEST_TIMEOUT, retry: RetryPolicy::default() })
    }

    /// How long one request may take instead of 10 s.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// How often and how fast to repeat.
    #[must_use]
    pub fn with_retry(self, retry: RetryPolicy) -> Self {
        Self { retry, ..self }
    }
}

fn check_base(base: &Url) -> Result<(), UpConfigError> {
    let plain = base.username().is_empty() && base.password().is_none();
    let bare = base.query().is_none() && base.fragment().is_none();
    let (Some(host), true, true) = (base.host_str(), plain, bare) else {
        return Err(not_a_base(base));
    };
    match base.scheme() {
        "https" => Ok(()),
        "http" if is_near(host) => Ok(()),
        "http" => Err(UpConfigError::Unencrypted { host: host.to_owned() }),
        _ => Err(not_a_base(base)),
    }
}

/// This machine, or a name without a dot, as a container network gives its services: what an
/// unencrypted token may reach. An address other than loopback's may be anybody's.
fn is_near(host: &str) -> bool {
    is_loopback(host).unwrap_or(!host.contains('.'))
}

fn not_a_base(base: &Url) -> UpConfigError {
    let place = base.host_str().unwrap_or_default();
    UpConfigError::NotABase { url: format!("{}://{place}{}", base.scheme(), base.path()) }
}

#[cfg(test)]
mod tests {
    use super::{UpConfig, UpConfigError};
    use crate::secret::Token;

    #[track_caller]
    fn check(url: &str, expect: &str) {
        let config = UpConfig::new(url, Token::new("t").unwrap());
        let found = match config {
            Ok(config) => format!("ok {}", config.base),
            Err(UpConfigError::NotAUrl { .. }) => "not a url".to_owned(),
            Err(UpConfigError::NotABase { url }) => format!("not a base {url}"),
            Err(UpConfigError::Unencrypted { host }) => format!("unencrypted {host}"),
        };
        assert_eq!(found, expect);
    }

    #[test]
    fn a_base_is_scheme_host_and_path() {
        check("https://api.up.com.au/api/v1", "ok https://api.up.com.au/api/v1");
        check("https://api.up.com.au/api/v1/", "ok https://api.up.com.au/api/v1");
        check("http://127.0.0.1:8080/api/v1", "ok http://127.0.0.1:8080/api/v1");
        check("http://sandbox:8080/api/v1", "ok http://sandbox:8080/api/v1");
        check("api.up.com.au", "not a url");
        check("ftp://api.up.com.au/", "not a base ftp://api.up.com.au/");
        check("https://me:pw@bank.example/api", "not a base https://bank.example/api");
        check("https://bank.example/api?x=1", "not a base https://bank.example/api");
        check("https://bank.example/api#x", "not a base https://bank.example/api");
        check("http://api.up.com.au/api/v1", "unencrypted api.up.com.au");
        check("http://bank.example/api/v1", "unencrypted bank.example");
        check("http://192.168.0.7/api/v1", "unencrypted 192.168.0.7");
        check("http://[::1]:8080/api/v1", "ok http://[::1]:8080/api/v1");
    }
}
