use crate::key_fetch::authority::{Authority, NOT_AFTER, NOT_BEFORE};

use super::*;

const NAME: &str = "messageverificationcerts.paypal.com";
const NOW: i64 = (NOT_BEFORE + 86_400) * 1000;

#[track_caller]
fn refused(pem: &[u8], roots: Option<&[u8]>, now: i64, expect: &str) {
    let error = checked(pem, NAME, roots, now).unwrap_err().to_string();
    assert!(error.contains(expect), "`{error}` should contain `{expect}`");
}

#[test]
fn a_certificate_of_the_sender_s_name_by_a_trusted_root_is_taken() {
    let root = Authority::root("Root");
    let middle = root.issues("Middle");
    let (own, _) = middle.certificate(NAME);
    let chain = [own.clone(), middle.pem()].concat();
    let roots = root.pem();
    assert_eq!(checked(&chain, NAME, Some(&roots), NOW).unwrap(), own);

    // the middle one is missing, or another's
    refused(&own, Some(&roots), NOW, "unable to get local issuer certificate");
    let other = Authority::root("Middle");
    let mixed = [own.clone(), other.pem()].concat();
    refused(&mixed, Some(&roots), NOW, "by a root we trust");
    refused(&chain, Some(&other.pem()), NOW, "by a root we trust");
    // this machine trusts others
    refused(&chain, None, NOW, "by a root we trust");
}

#[test]
fn another_s_certificate_by_the_same_root_is_not() {
    let root = Authority::root("Root");
    let roots = root.pem();
    for name in ["evil.example", "paypal.com", "messageverificationcerts.paypal.com.evil.example"] {
        let (own, _) = root.certificate(name);
        refused(&own, Some(&roots), NOW, "hostname mismatch");
    }
    // one that is no authority issued it
    let (own, key) = root.certificate("evil.example");
    let forged = Authority::of(&own, key);
    let (mine, _) = forged.certificate(NAME);
    refused(&[mine, own].concat(), Some(&roots), NOW, "invalid CA certificate");
}

#[test]
fn a_certificate_is_taken_only_in_its_time() {
    let root = Authority::root("Root");
    let (own, _) = root.certificate(NAME);
    let check = |now_s: i64| checked(&own, NAME, Some(&root.pem()), now_s * 1000).is_ok();
    assert!(check(NOT_BEFORE) && check(NOT_AFTER - 1));
    assert!(!check(NOT_BEFORE - 1) && !check(NOT_AFTER + 1));
}

#[test]
fn what_is_no_chain_is_refused() {
    let root = Authority::root("Root");
    let (own, _) = root.certificate(NAME);
    let roots = root.pem();
    refused(b"", Some(&roots), NOW, "not a certificate chain");
    refused(b"<html>", Some(&roots), NOW, "not a certificate chain");
    refused(&own.repeat(CHAIN_MAX + 1), Some(&roots), NOW, "not a certificate chain");
    refused(&own, Some(b"none"), NOW, "configured roots");
}
