//! Addresses that something secret may be sent to.

use std::net::IpAddr;

use reqwest::Url;

/// Why an address is no such place; a message goes on from what the address is of, and does not show
/// it: it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Not a URL with a host.
    #[error("is no URL such as `https://host.example/path`")]
    NotAUrl,
    /// What is sent would travel readable, or to somewhere else than meant.
    #[error(
        "is not safe: expected https, or http on this machine (127.0.0.1), without user or password"
    )]
    NotSafe,
}

/// Reads an address that something secret may be sent to: https, or http on this machine, without
/// user or password.
pub fn target(text: &str) -> Result<Url, TargetError> {
    let url = Url::parse(text).map_err(|_| TargetError::NotAUrl)?;
    let host = url.host_str().ok_or(TargetError::NotAUrl)?;
    let is_plain = url.username().is_empty() && url.password().is_none();
    let is_encrypted = match url.scheme() {
        "https" => true,
        "http" => host == "localhost" || is_loopback(host) == Some(true),
        _ => false,
    };
    if is_plain && is_encrypted { Ok(url) } else { Err(TargetError::NotSafe) }
}

/// Whether a URL's host is an address of this machine; `None` where it is a name.
pub(crate) fn is_loopback(host: &str) -> Option<bool> {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok()?;
    Some(address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_https_or_on_this_machine() {
        #[track_caller]
        fn check(text: &str, expect: Result<&str, TargetError>) {
            let found = target(text);
            assert_eq!(found.as_ref().map(Url::as_str), expect.as_ref().copied(), "{text}");
        }
        check("https://a.example/hook", Ok("https://a.example/hook"));
        check("https://a.example", Ok("https://a.example/"));
        check("http://127.0.0.1:80/h", Ok("http://127.0.0.1/h"));
        check("http://[::1]:3000", Ok("http://[::1]:3000/"));
        check("http://localhost/h", Ok("http://localhost/h"));
        for unsafe_one in [
            "http://a.example/hook",
            "http://127.0.0.1.example/",
            "http://192.168.0.7/",
            "http://sandbox/",
            "https://me:pw@a.example/",
            "https://me@a.example",
            "ftp://localhost/",
        ] {
            check(unsafe_one, Err(TargetError::NotSafe));
        }
        for text in ["hook", "m.example", "", "https://", "data:text/plain,a"] {
            check(text, Err(TargetError::NotAUrl));
        }
    }
}
