//! The binary as a person or a script calls it, where it needs no server: exit codes and answers.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

const BODY: &str = r#"{"data":{"type":"webhook-events","id":"e-1","attributes":{"eventType":"PING","createdAt":"2026-01-02T03:04:05Z"}}}"#;
const SECRET: &str = "a secret of the tests";
const HEADER: &str = "x-up-authenticity-signature";

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn bankstream(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bankstream"));
    command.current_dir(project()).args(arguments).env("TEST_SECRET", SECRET);
    command.env_remove("TOPOLOGY_FILE").env_remove("STRIPE_WEBHOOK_SECRET");
    command.env("UP_WEBHOOK_SECRET", SECRET).output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// A file with `body`, and its signature's header.
fn signed(body: &str) -> (tempfile::NamedTempFile, String) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), body).unwrap();
    let secret = signatures::Secret::new(SECRET).unwrap();
    let headers = signatures::sign(&signatures::Scheme::up(), &secret, body.as_bytes(), 0);
    (file, format!("{HEADER}: {}", headers[0].value))
}

#[test]
fn verify_answers_with_its_exit_code_and_one_line_of_json() {
    #[track_caller]
    fn check(by: &[&str], body: &str, header: Option<&str>, expect: (i32, &str, Option<&str>)) {
        let (file, signature) = signed(body);
        let header = header.unwrap_or(&signature);
        let path = file.path().display().to_string();
        let mut arguments =
            vec!["webhook", "verify", "--json", "--body", &path, "--header", header];
        arguments.extend(by);
        let output = bankstream(&arguments);
        assert_eq!(code(&output), expect.0, "{}", text(&output.stderr));
        let answer = text(&output.stdout);
        assert_eq!(answer.lines().count(), 1, "{answer}");
        assert_eq!(answer.matches("\"reason\"").count(), 1, "{answer}");
        let answer: Value = serde_json::from_str(answer).unwrap();
        assert_eq!(
            (answer["result"].as_str(), answer["reason"].as_str()),
            (Some(expect.1), expect.2)
        );
        assert!(!answer.to_string().contains(SECRET));
    }
    let scheme = ["--scheme", "up", "--secret-env", "TEST_SECRET"];
    let source = ["--source", "up"];
    let forged = format!("{HEADER}: {}", "0".repeat(64));
    check(&scheme, BODY, None, (0, "accepted", None));
    check(&source, BODY, None, (0, "accepted", None));
    check(&scheme, "not json", None, (0, "accepted", None));
    check(&source, "not json", None, (1, "rejected", Some("invalid-payload")));
    check(&scheme, BODY, Some(&forged), (1, "rejected", Some("signature-mismatch")));
    check(&scheme, BODY, Some("other: x"), (1, "rejected", Some("missing-headers")));
    let upper =
        signed(BODY).1.replace(HEADER, "X").to_uppercase().replace("X:", &format!("{HEADER}:"));
    check(&scheme, BODY, Some(&upper), (1, "rejected", Some("malformed-header")));
}

#[test]
fn verify_explains_in_text() {
    let (file, _) = signed(BODY);
    let (_, of_other_body) = signed(BODY.trim_end_matches('}'));
    let path = file.path().display().to_string();
    let output = bankstream(&[
        "webhook",
        "verify",
        "--source",
        "up",
        "--body",
        &path,
        "--header",
        &of_other_body,
    ]);
    assert_eq!(code(&output), 1);
    let said = text(&output.stdout);
    assert!(said.starts_with("rejected: signature-mismatch: no active key"), "{said}");
    assert!(said.contains("\nsigned    body "), "{said}");
    assert!(!said.contains(SECRET));
}

#[test]
fn wrong_usage_of_verify_is_2_and_says_what_to_do() {
    #[track_caller]
    fn check(arguments: &[&str], expect: &str) {
        let (file, header) = signed(BODY);
        let path = file.path().display().to_string();
        let mut all = vec!["webhook", "verify", "--header", &header];
        all.extend(
            arguments.iter().map(|argument| if *argument == "BODY" { &path } else { *argument }),
        );
        let output = bankstream(&all);
        assert_eq!(code(&output), 2, "{}", text(&output.stdout));
        assert!(text(&output.stderr).contains(expect), "{}", text(&output.stderr));
    }
    check(&["--body", "BODY"], "--source");
    check(&["--scheme", "up", "--body", "BODY"], "--secret-env");
    check(
        &["--scheme", "down", "--secret-env", "TEST_SECRET", "--body", "BODY"],
        "possible values",
    );
    check(&["--scheme", "up", "--secret-env", "UNSET", "--body", "BODY"], "UNSET is not set");
    check(&["--source", "stripe", "--body", "BODY"], "set STRIPE_WEBHOOK_SECRET");
    check(&["--source", "nobody", "--body", "BODY"], "no source `nobody`");
    check(&["--source", "up", "--body", "/nowhere"], "--body /nowhere");
    check(&["--source", "up", "--body", "BODY", "--at", "yesterday"], "--at");
    check(&["--source", "up", "--body", "BODY", "--header", "colonless"], "expected `Name: value`");
}

#[test]
fn verify_refuses_keys_that_could_accept_nothing_or_anything() {
    let folder = tempfile::tempdir().unwrap();
    let check = |scheme: &str, flag: &str, key: &str, expect: &str| {
        let (path, body) = (folder.path().join("key"), folder.path().join("body"));
        std::fs::write(&path, key).unwrap();
        std::fs::write(&body, "{}").unwrap();
        let (path, body) = (path.display().to_string(), body.display().to_string());
        let output =
            bankstream(&["webhook", "verify", "--scheme", scheme, flag, &path, "--body", &body]);
        let said = text(&output.stderr);
        assert_eq!(code(&output), 2, "{said}");
        assert!(
            said.contains(expect) && said.contains(&path),
            "`{said}` should contain `{expect}`"
        );
    };
    let pem = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n";
    check("up", "--public-key", pem, "scheme `up` is signed with a shared secret");
    check("stripe", "--jwks", r#"{"keys":[]}"#, "give the webhook's secret with --secret-env");
    check("svix", "--public-key", pem, "the key's text is a key or a certificate in PEM");
    check("svix", "--public-key", "whpk_\n", "there is nothing behind its prefix `whpk_`");
    check("plaid", "--jwks", r#"{"keys":[]}"#, "has no key that can be used, but none at all");
    check("plaid", "--jwks", r#"{"keys":[{"kty":"oct"}]}"#, "but 1 for another algorithm");
    check("plaid", "--jwks", "[]", "the key's text is a JSON array; expected a JWK");
    check("plaid", "--jwks", "\u{feff}{}", "text behind a byte order mark");
}

#[test]
fn a_sender_without_a_secret_says_which_variable_to_set() {
    let output = bankstream(&["webhook", "send", "--source", "stripe"]);
    assert_eq!(code(&output), 1);
    assert!(text(&output.stderr).contains("set STRIPE_WEBHOOK_SECRET"), "{}", text(&output.stderr));
}

#[test]
fn wrong_usage_of_dead_letters_is_2_and_says_what_to_do() {
    #[track_caller]
    fn check(arguments: &[&str], expect: &str) {
        let mut all = vec!["dlq"];
        all.extend(arguments);
        let output = bankstream(&all);
        assert_eq!(code(&output), 2, "{}", text(&output.stdout));
        assert!(text(&output.stderr).contains(expect), "{}", text(&output.stderr));
    }
    check(&["show", "coin-trigger"], "PARTITION/OFFSET");
    check(&["show", "coin-trigger", "3"], "expected partition and offset, such as 0/42");
    check(&["list", "--since", "yesterday"], "expected a time");
    check(&["list", "--letter", "0/3"], "--app");
    check(&["redrive", "--yes", "--dry-run"], "cannot be used with");
    check(&["redrive", "--rate", "0"], "--rate");
    check(&["redrive", "--rate", "1001"], "1..=1000");
}

#[test]
fn dead_letters_of_an_app_that_has_none_are_1() {
    #[track_caller]
    fn check(app: &str, expect: &str) {
        let output = bankstream(&["dlq", "show", app, "0/0"]);
        assert_eq!(code(&output), 1);
        assert!(text(&output.stderr).contains(expect), "{}", text(&output.stderr));
    }
    check("coin-triger", "did you mean `coin-trigger`?");
    check("ingress", "`ingress` reads nothing");
}

#[test]
fn the_projects_own_topology_has_nothing_to_mend() {
    let output = bankstream(&["topology", "check", "--json"]);
    assert_eq!(code(&output), 0, "{}", text(&output.stdout));
    assert_eq!(text(&output.stdout), "{\"findings\":[]}\n");
}

#[test]
fn a_broken_topology_is_1_with_every_finding() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("topology.toml");
    std::fs::write(&path, "[topics]\n[app]\n[profiles]\nx = 1\n").unwrap();
    let path = path.display().to_string();
    let output = bankstream(&["--topology-file", &path, "topology", "check"]);
    assert_eq!(code(&output), 1);
    let said = text(&output.stdout);
    assert!(said.contains(":2: app: unknown key; did you mean `apps`?"), "{said}");
    assert!(said.contains(":4: profiles.x: expected a table, found 1"), "{said}");
}

#[test]
fn a_command_without_a_server_says_how_to_get_one() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().display().to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_bankstream"));
    command.current_dir(project()).args(["--dir", &dir, "topology", "plan"]);
    command.env_remove("KAFKA_BOOTSTRAP_SERVERS").env_remove("SCHEMA_REGISTRY_URL");
    let output = command.output().unwrap();
    assert_eq!(code(&output), 1);
    let said = text(&output.stderr);
    assert!(said.contains("`bankstream platform start`"), "{said}");
}

#[test]
fn verify_judges_and_explains_a_partner_s_own_scheme() {
    let folder = tempfile::tempdir().unwrap();
    let declared = r#"
        [topics]
        [apps]
        [profiles]

        [sources.partner]
        preset = "free"
        path = "/webhooks/partner"
        secrets = [{ id = "current", env = "TEST_SECRET" }]

        [sources.partner.scheme]
        header = "Partner-Signature"
        parse = { template = "{timestamp}.{signatures:,}" }
        signed = "{timestamp}.{header:x-kind}.{object}"
        algorithm = "hmac-sha256"

        [sources.partner.event]
        id = "/id"
        kind = "header:x-kind"
    "#;
    let path = folder.path().join("topology.toml");
    std::fs::write(&path, declared).unwrap();
    let body = folder.path().join("body");
    std::fs::write(&body, r#"{"id":"e-1"}"#).unwrap();
    let [path, body] = [path, body].map(|path| path.display().to_string());
    let verify = |signature: &str, extra: &[&str]| {
        let signature = format!("Partner-Signature: {signature}");
        let arguments = ["--topology-file", &path, "webhook", "verify", "--source", "partner"];
        let request = ["--body", &body, "--header", &signature, "--header", "X-Kind: money.moved"];
        let at = ["--at", "2026-03-03T01:23:20Z"];
        bankstream(&[&arguments[..], &request, &at, extra].concat())
    };
    // made once by another implementation
    let right = "9a3309b661ad9f86eaf7b04e99abd177f608b7bb6ad3069d390d522259e30cea";
    let other = "0".repeat(64);
    let accepted = verify(&format!("1772501000.{other},{right}"), &[]);
    assert_eq!(code(&accepted), 0, "{}", text(&accepted.stdout));
    // a key that is given takes the place of the source's own
    let candidate = ["--json", "--secret-env", "UP_WEBHOOK_SECRET"];
    let accepted = verify(&format!("1772501000.{right}"), &candidate);
    assert_eq!(code(&accepted), 0, "{}", text(&accepted.stderr));
    assert!(text(&accepted.stdout).contains(r#""known_keys":["UP_WEBHOOK_SECRET"]"#));
    let late = verify(&format!("1772501001.{right}"), &[]);
    assert_eq!(code(&late), 1);
    let said = text(&late.stdout);
    assert!(said.contains("rejected: signature-mismatch"), "{said}");
    assert!(said.contains("signed    header    11 bytes"), "{said}");
    assert!(said.contains("money.moved"), "{said}");
    let malformed = verify(right, &[]);
    let said = text(&malformed.stdout);
    let form = "needs     partner-signature: `TIME.SIGNATURE`, TIME whole seconds since 1970 in plain \
                digits, SIGNATURE 64 digits of lower-case hex; several with `,` between (there)";
    assert!(said.contains(form), "{said}");
    assert!(
        said.contains("x-kind: 1 to 256 visible ASCII characters without `{` (there)"),
        "{said}"
    );
}

#[test]
fn verify_takes_public_keys_parameters_and_a_known_good_body() {
    let folder = project().join("signatures/tests/vectors");
    let vectors = std::fs::read_to_string(folder.join("paypal.json")).unwrap();
    let vectors: Value = serde_json::from_str(&vectors).unwrap();
    let temporary = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = temporary.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let case = &vectors["cases"][0];
    let body = case["body"].as_str().unwrap();
    let headers: Vec<_> = case["headers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| format!("{}: {}", it[0].as_str().unwrap(), it[1].as_str().unwrap()))
        .collect();
    let key = file("key.pem", vectors["secrets"][0][1].as_str().unwrap());
    let param = format!("webhook_id={}", vectors["params"][0][1].as_str().unwrap());
    let (good, bad) = (file("good", body), file("bad", &body.replace("4250", "4251")));
    let verify = |extra: &[&str]| {
        let mut arguments = vec!["webhook", "verify", "--json", "--scheme", "paypal"];
        arguments.extend(["--at", "2026-03-03T01:23:20Z", "--method", "POST", "--path", "/x"]);
        arguments.extend(headers.iter().flat_map(|header| ["--header", header.as_str()]));
        arguments.extend(extra);
        bankstream(&arguments)
    };
    let with_key = ["--public-key", &key, "--param", &param, "--known-good", &good, "--body"];
    assert_eq!(code(&verify(&[&with_key[..], &[&good]].concat())), 0);
    let rejected = verify(&[&with_key[..], &[&bad]].concat());
    assert_eq!(code(&rejected), 1);
    let answer: Value = serde_json::from_str(text(&rejected.stdout)).unwrap();
    assert_eq!(answer["reason"], "signature-mismatch");
    assert_eq!(answer["first_difference"], body.find("4250").unwrap() + 3);
    assert_eq!(code(&verify(&["--param", &param, "--body", &good])), 2);
    assert_eq!(code(&verify(&["--public-key", &key, "--body", &good])), 2);
}
