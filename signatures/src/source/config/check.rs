//! What a value must be, whatever table it stands in; errors name its place.

use std::time::Duration;

use super::error::SourceError;

pub(super) const PATH_EXPECTED: &str = "a path such as `/webhooks/up`: one or more segments of \
     `A-Z`, `a-z`, `0-9`, `-`, `_`, `.`, at most 200 bytes, and none of the ingress's own";

pub(super) const URL_EXPECTED: &str = "an address such as `https://bank.example/keys.json`, at \
     most 500 bytes (`http` to this machine only: whoever is between could hand us his own keys)";

/// Paths the ingress answers itself.
const OWN_PATHS: [&str; 5] = ["/livez", "/readyz", "/metrics", "/health", "/events"];

/// Names the place of a value in errors.
pub(super) struct Check<'a> {
    pub(super) file: &'a str,
    pub(super) name: &'a str,
}

impl Check<'_> {
    pub(super) fn error(
        &self,
        key: &'static str,
        value: &str,
        expected: &'static str,
    ) -> SourceError {
        SourceError::Value {
            file: self.file.to_owned(),
            name: self.name.to_owned(),
            key,
            value: value.to_owned(),
            expected,
        }
    }

    pub(super) fn that(
        &self,
        holds: bool,
        key: &'static str,
        value: &str,
        expected: &'static str,
    ) -> Result<(), SourceError> {
        if holds { Ok(()) } else { Err(self.error(key, value, expected)) }
    }

    /// Reads `90s`, `5m`, `36h` or `7d`.
    pub(super) fn duration(&self, key: &'static str, text: &str) -> Result<Duration, SourceError> {
        let read = || {
            let (count, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
            let unit_s: u64 = match unit {
                "s" => 1,
                "m" => 60,
                "h" => 3600,
                "d" => 86_400,
                _ => return None,
            };
            let seconds = count.parse::<u32>().ok()?;
            Some(Duration::from_secs(u64::from(seconds).checked_mul(unit_s)?))
        };
        read()
            .filter(|duration| !duration.is_zero())
            .ok_or_else(|| self.error(key, text, "a duration such as `90s`, `5m`, `36h` or `7d`"))
    }
}

pub(super) fn is_path(path: &str) -> bool {
    let is_segment = |segment: &str| {
        !segment.is_empty()
            && segment != "."
            && segment != ".."
            && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    let segments = path.strip_prefix('/').map(|rest| rest.split('/').all(is_segment));
    segments == Some(true) && path.len() <= 200 && !OWN_PATHS.contains(&path)
}

pub(super) fn is_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b);
    (1..=64).contains(&name.len()) && name.bytes().all(allowed)
}

/// Whether keys may come from `url`: nobody between may change them, and no part of it is read in
/// two ways.
pub(super) fn is_key_url(url: &str) -> bool {
    let is_plain = url.len() <= 500
        && url.bytes().all(|byte| byte.is_ascii_graphic() && !b"\\#@\"<>".contains(&byte));
    let host_of = |scheme: &str| {
        let (host, _) = url.strip_prefix(scheme)?.split_once('/')?;
        Some(host)
    };
    let is_safe = match (host_of("https://"), host_of("http://")) {
        (Some(host), _) => is_host(host),
        (_, Some(host)) => is_loopback(host),
        _ => false,
    };
    is_plain && is_safe
}

/// A host's name or address, with or without a port.
pub(super) fn is_host(host: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-.:[]".contains(&b);
    (1..=253).contains(&host.len()) && host.bytes().all(allowed) && !host.starts_with(':')
}

fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next(),
        None => host.split(':').next(),
    };
    let name = name.unwrap_or_default();
    name == "localhost"
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_over_a_way_that_nobody_can_change() {
        #[track_caller]
        fn check(url: &str, expect: bool) {
            assert_eq!(is_key_url(url), expect, "{url}");
        }
        check("https://api.moneykit.com/.well-known/jwks.json", true);
        check("https://bank.example:8443/keys?set=live", true);
        check("http://127.0.0.1:9000/jwks", true);
        check("http://localhost/jwks", true);
        check("http://[::1]:9000/jwks", true);
        check("http://bank.example/jwks", false);
        check("http://127.0.0.1.bank.example/jwks", false);
        check("http://10.0.0.1/jwks", false);
        check("https://bank.example", false);
        check("https:///jwks", false);
        check("https://user@bank.example/jwks", false);
        check("https://bank.example/a b", false);
        check("https://bank.example\\@evil.example/jwks", false);
        check("file:///etc/keys", false);
        check("", false);
        check(&format!("https://bank.example/{}", "a".repeat(500)), false);
    }
}
