use std::io::Write as _;

use clap::Parser as _;
use signatures::{Scheme, Secret, sign};

use super::*;

#[derive(Debug, Parser)]
struct Given {
    #[command(flatten)]
    shared: Shared,
}

/// A line such as the ingress writes.
fn kept(body: &str, more: &str) -> String {
    let secret = Secret::new("one").unwrap();
    let signature = sign(&Scheme::up(), &secret, body.as_bytes(), 0).remove(0).value;
    let body = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, body);
    format!(
        r#"{{"received_at":1772501000000,"source":"up","scheme":"up","path":"/webhooks/up",
        "reason":"signature-mismatch","peer":"192.0.2.1","headers":[
        {{"name":"x-up-authenticity-signature","value":"{signature}"}},
        {{"name":"x-odd","value_base64":"/w=="}},
        {{"name":"cookie","redacted":{{"bytes":7,"sha256_begins":"00"}}}}],
        "body_bytes":2,"body_sha256":"","body_base64":"{body}"{more}}}"#
    )
    .replace('\n', "")
}

fn entry(line: &str) -> Entry {
    Entry { number: 3, kept: serde_json::from_str(line).unwrap() }
}

#[test]
fn a_kept_request_has_its_exact_body_and_a_cut_one_is_not_judged() {
    assert_eq!(entry(&kept("{}", r#","body_cut":false"#)).body().unwrap(), b"{}");
    let error = entry(&kept("{", r#","body_cut":true"#)).body().unwrap_err().to_string();
    assert!(error.contains("INGRESS_CAPTURE_BODY_LIMIT to at least 2"), "{error}");
    let heads = kept("{}", "").replace("body_base64", "other");
    let error = entry(&heads).body().unwrap_err().to_string();
    assert!(error.contains("INGRESS_CAPTURE_CONTENT=whole"), "{error}");
}

#[test]
fn a_list_tells_time_source_reason_and_sender() {
    let line = entry(&kept("{}", "")).line();
    assert_eq!(
        line,
        "   3  2026-03-03T01:23:20Z  up  signature-mismatch  from 192.0.2.1  2 bytes  no user agent"
    );
}

#[test]
fn a_sender_is_whom_the_ingress_judged_and_not_whom_the_request_claims() {
    let claims = r#"{"name":"x-forwarded-for","value":"6.6.6.6, 203.0.113.9"},{"name":"x-odd""#;
    let forged = kept("{}", "").replace(r#"{"name":"x-odd""#, claims);
    // of a request that came without a proxy, and of one from before the sender was kept
    let old = entry(&forged);
    assert!(old.line().contains("from 192.0.2.1  "), "{}", old.line());
    assert!(old.head().contains("to come from 6.6.6.6, 203.0.113.9 (by x-forwarded-for"));
    let judged = entry(&forged.replace(r#""peer""#, r#""client":"203.0.113.9","peer""#));
    assert!(judged.line().contains("from 203.0.113.9  "), "{}", judged.line());
    assert!(entry::totals(&[judged]).ends_with("senders   203.0.113.9 1"));
    let summary = serde_json::to_value(old.summary()).unwrap();
    assert_eq!(
        (&summary["from"], &summary["claimed"]),
        (&"192.0.2.1".into(), &"6.6.6.6, 203.0.113.9".into())
    );
    assert!(!entry(&kept("{}", "")).head().contains("claims"));
}

#[test]
fn nothing_of_a_kept_request_moves_the_terminal() {
    let evil = r"\u001b[2J\u009b31m\u202eé";
    let named =
        |name: &str| format!(r#"{{"name":"{name}","value":"{evil}"}},{{"name":"x-odd{evil}""#);
    for name in ["user-agent", "x-forwarded-for"] {
        let line = kept("{}", "").replace(r#"{"name":"x-odd""#, &named(name));
        let line = line.replace("192.0.2.1", evil).replace("signature-mismatch", evil);
        let entry = entry(&line);
        for told in [entry.line(), entry.head(), entry::totals(&[entry])] {
            let is_plain = |byte: u8| byte == b'\n' || (b' '..=b'~').contains(&byte);
            assert!(told.bytes().all(is_plain), "{told}");
            assert!(told.contains(r"\x1b[2J\xc2\x9b31m"), "{told}");
        }
    }
}

#[test]
fn totals_count_reasons_and_name_the_loudest_senders() {
    let from = |last: usize| kept("{}", "").replace("192.0.2.1", &format!("192.0.2.{last}"));
    let lines: Vec<_> =
        [1, 2, 2, 3, 4, 5, 6, 7].into_iter().map(|last| entry(&from(last))).collect();
    assert_eq!(
        entry::totals(&lines),
        "\nreasons   up signature-mismatch 8\n\
         senders   192.0.2.2 2, 192.0.2.1 1, 192.0.2.3 1, 192.0.2.4 1, 192.0.2.5 1 and 2 more"
    );
}

#[test]
fn what_a_verdict_would_not_say_is_said_beside_it() {
    let replayed = kept("{}", "").replace("signature-mismatch", "replayed");
    let head = entry(&replayed).head();
    assert!(head.contains("x-up-authenticity-signature, x-odd, cookie"), "{head}");
    assert!(head.contains("another body came under the same id"), "{head}");
    let empty = kept("", "").replace(r#""body_bytes":2"#, r#""body_bytes":0"#);
    assert!(entry(&empty).head().contains("a proxy dropped it"));
}

#[tokio::test]
async fn an_entry_is_judged_again_with_the_secrets_of_the_declaration() {
    let folder = tempfile::tempdir().unwrap();
    let topology = folder.path().join("topology.toml");
    let file = folder.path().join("rejected.jsonl");
    let declared =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../topology.toml"));
    let declared = declared.unwrap().replace(".bankstream/secrets/up", "secret");
    std::fs::write(&topology, declared).unwrap();
    let event = r#"{"data":{"id":"e-1","attributes":{"eventType":"PING","createdAt":"2026-03-03T12:23:20+11:00"},"relationships":{}}}"#;
    let mut lines = std::fs::File::create(&file).unwrap();
    writeln!(lines, "{}", kept(event, "")).unwrap();
    let check = async |secret: &str, expect: ExitCode| {
        std::fs::write(folder.path().join("secret"), secret).unwrap();
        let words =
            ["".as_ref(), "--topology-file".as_ref(), topology.as_os_str(), "--json".as_ref()];
        let shared = Given::try_parse_from(words).unwrap().shared;
        let args = Args {
            file: Some(file.clone()),
            topic: false,
            explain: Some(1),
            source: None,
            secret_env: Vec::new(),
            now: false,
            known_good: None,
            body_to: Some(folder.path().join("body")),
        };
        assert_eq!(run(&args, &shared).await.unwrap(), expect);
        assert_eq!(std::fs::read(folder.path().join("body")).unwrap(), event.as_bytes());
    };
    check("two", ExitCode::FAILURE).await;
    check("one", ExitCode::SUCCESS).await;
}

/// The scheme is one of the declaration's, which has no other name.
#[tokio::test]
async fn an_entry_of_a_partner_is_judged_with_a_secret_that_may_be_the_new_one() {
    // what cargo sets for every test, as the name of a variable and as a secret
    let (variable, candidate) = ("CARGO_PKG_NAME", env!("CARGO_PKG_NAME"));
    let folder = tempfile::tempdir().unwrap();
    let topology = folder.path().join("topology.toml");
    let file = folder.path().join("rejected.jsonl");
    let declared = r#"
        [topics]
        [apps]
        [profiles]
        [sources.partner]
        preset = "free"
        path = "/webhooks/partner"
        secrets = [{ id = "current", env = "CARGO_PKG_VERSION" }]
        scheme = { header = "x-up-authenticity-signature", signed = "{body}", algorithm = "hmac-sha256" }
        event = { id = "/id", kind = "/kind" }
    "#;
    std::fs::write(&topology, declared).unwrap();
    let line = kept(r#"{"id":"e-1","kind":"paid"}"#, "");
    let of = |secret: &str| {
        let headers =
            sign(&Scheme::up(), &Secret::new(secret).unwrap(), br#"{"id":"e-1","kind":"paid"}"#, 0);
        headers[0].value.clone()
    };
    let line = line.replace(&of("one"), &of(candidate)).replace(r#":"up""#, r#":"partner""#);
    std::fs::write(&file, line + "\n").unwrap();
    let words = ["".as_ref(), "--topology-file".as_ref(), topology.as_os_str(), "--json".as_ref()];
    let shared = Given::try_parse_from(words).unwrap().shared;
    let judge = async |secret_env: &[&str]| {
        let args = Args {
            file: Some(file.clone()),
            topic: false,
            explain: Some(1),
            source: None,
            secret_env: secret_env.iter().map(|&name| name.to_owned()).collect(),
            now: false,
            known_good: None,
            body_to: None,
        };
        run(&args, &shared).await.unwrap()
    };
    assert_eq!(judge(&[]).await, ExitCode::FAILURE);
    assert_eq!(judge(&[variable]).await, ExitCode::SUCCESS);
}

#[test]
fn a_line_that_is_being_written_is_left_for_the_next_time() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let line = kept("{}", "");
    let begin: String = line.chars().take(40).collect();
    let entries = |text: String| {
        std::fs::write(file.path(), text).unwrap();
        lines(file.path()).map(|entries| entries.len())
    };
    assert_eq!(entries(format!("{line}\n")).unwrap(), 1);
    assert_eq!(entries(format!("{line}\n{begin}")).unwrap(), 1);
    assert_eq!(entries(begin.clone()).unwrap(), 0);
    assert!(entries(format!("{begin}\n{line}\n")).is_err(), "no file of the ingress");
}
