//! The request as given on the command line.
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use anyhow::Context as _;

/// Larger bodies no provider sends and no ingress takes; a slip (a disk image) must not fill memory.
const BODY_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The headers, each `Name: value` as bytes; space around the value does not count, as in HTTP.
pub(super) fn headers(given: &[OsString]) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    given.iter().map(|header| split(header.as_bytes())).collect()
}

fn split(header: &[u8]) -> anyhow::Result<(String, Vec<u8>)> {
    let shown = || String::from_utf8_lossy(header).into_owned();
    let expected = || format!("--header `{}`: expected `Name: value`", shown());
    let colon = header.iter().position(|byte| *byte == b':').with_context(expected)?;
    let (name, value) = header.split_at(colon);
    let name = std::str::from_utf8(name).ok().filter(|name| is_token(name));
    let value = value.get(1..).unwrap_or_default().trim_ascii();
    Ok((name.with_context(expected)?.to_owned(), value.to_vec()))
}

fn is_token(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(allowed)
}

/// The body's bytes.
pub(super) fn body(path: &Path) -> anyhow::Result<Vec<u8>> {
    let shown = path.display();
    let opened: Box<dyn Read> = if path == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(File::open(path).with_context(|| format!("--body {shown}"))?)
    };
    let mut body = Vec::new();
    let mut bounded = opened.take(BODY_BYTES_MAX + 1);
    let length = bounded.read_to_end(&mut body).with_context(|| format!("--body {shown}"))?;
    let is_small = u64::try_from(length).is_ok_and(|length| length <= BODY_BYTES_MAX);
    anyhow::ensure!(is_small, "--body {shown} has more than {BODY_BYTES_MAX} bytes");
    Ok(body)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt as _;

    use super::headers;

    #[test]
    fn headers_are_split_at_the_first_colon() {
        fn check(given: &[u8], expect: Option<(&str, &[u8])>) {
            let read = headers(&[OsString::from_vec(given.to_vec())]).ok();
            let expect = expect.map(|(name, value)| vec![(name.to_owned(), value.to_vec())]);
            assert_eq!(read, expect, "{given:?}");
        }
        check(b"Stripe-Signature: t=1,v1=ab", Some(("Stripe-Signature", b"t=1,v1=ab")));
        check(b"a:b:c", Some(("a", b"b:c")));
        check(b"a:", Some(("a", b"")));
        check(b"a: \xff ", Some(("a", b"\xff")));
        check(b"no colon", None);
        check(b": value", None);
        check(b"a b: value", None);
        check(b"\xff: value", None);
    }

    #[test]
    fn a_body_that_is_not_there_is_named() {
        let error = super::body(std::path::Path::new("/nowhere/body.json")).unwrap_err();
        assert!(format!("{error:#}").starts_with("--body /nowhere/body.json: "));
    }
}
