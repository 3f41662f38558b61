use super::*;
use crate::scheme::{Carrier, Expectation};

const DECLARED: &str = r#"
    [topics."raw"]
    partitions = 6

    [sources.up]
    preset = "up"
    path = "/webhooks/up"
    secrets = [{ id = "env", env = "UP_SECRET" }, { id = "file", file = "secrets/up", optional = true }]
    user_agent = "Up Webhook Dispatcher"
    dedupe_window = "14d"

    [sources.stripe]
    preset = "stripe"
    path = "/api/integration/bank-callback/stripe"
    secrets = [{ id = "env", env = "STRIPE_SECRET" }]
    tolerance = "90s"
"#;

#[test]
fn a_source_is_its_preset_with_the_table_s_overrides() {
    let sources = parse("topology.toml", DECLARED).unwrap();
    let by_name = |name: &str| sources.iter().find(|source| source.name == name).unwrap();

    let up = by_name("up");
    assert_eq!(up.scheme, Scheme::up());
    assert_eq!((up.success_code, up.ack_deadline.as_secs()), (200, 30));
    assert_eq!(up.dedupe_window.as_secs(), 14 * 86_400);
    assert_eq!(up.user_agent.as_deref(), Some("Up Webhook Dispatcher"));
    assert_eq!(up.secrets[1].site, SecretSite::File("secrets/up".into()));
    assert!(up.secrets[1].optional && !up.secrets[0].optional);

    let stripe = by_name("stripe");
    let freshness = stripe.scheme.freshness.unwrap();
    assert_eq!((freshness.past_ms, freshness.future_ms), (90_000, 90_000));
    assert_eq!(stripe.dedupe_window, Preset::Stripe.dedupe_window());
}

#[test]
fn a_mistake_is_named_with_file_key_and_what_was_expected() {
    #[track_caller]
    fn check(table: &str, expect: &[&str]) {
        let text = format!("[sources.up]\n{table}");
        let error = parse("a.toml", &text).unwrap_err().to_string();
        for part in expect {
            assert!(error.contains(part), "`{error}` should contain `{part}`");
        }
    }
    const SECRETS: &str = r#"secrets = [{ id = "a", env = "A" }]"#;
    const REST: &str = "preset = \"up\"\nsecrets = [{ id = \"a\", env = \"A\" }]";
    check(&format!("path = \"/a\"\n{SECRETS}"), &["a.toml", "`sources.up`", "preset"]);
    check(
        &format!("preset = \"upp\"\npath = \"/a\"\n{SECRETS}"),
        &["`sources.up`", "upp", "`up`", "`stripe`"],
    );
    check(&format!("{REST}\npath = \"/a\"\ncolour = 1"), &["`sources.up`", "colour", "`path`"]);
    for path in ["a", "/", "/a//b", "/a/", "/a?b", "/../a", "/metrics", "/ä"] {
        check(&format!("{REST}\npath = \"{path}\""), &["`sources.up.path`", path, "expected"]);
    }
    let tail = "preset = \"up\"\npath = \"/a\"";
    check(&format!("{tail}\nsecrets = []"), &["`sources.up.secrets`", "1 to 8"]);
    check(&format!("{tail}\nsecrets = [{{ id = \"a\" }}]"), &["`env` or `file`"]);
    check(
        &format!("{tail}\nsecrets = [{{ id = \"a\", env = \"A\", file = \"b\" }}]"),
        &["`env` or `file`"],
    );
    check(
        &format!(
            "{tail}\nsecrets = [{{ id = \"a\", env = \"A\" }}, {{ id = \"a\", env = \"B\" }}]"
        ),
        &["`sources.up.secrets.id`", "no other"],
    );
    check(&format!("{REST}\npath = \"/a\"\ntolerance = \"5m\""), &["tolerance", "signs no time"]);
    for window in ["", "7", "d", "7w", "-1d", "0d", "99999999999d"] {
        check(
            &format!("{REST}\npath = \"/a\"\ndedupe_window = \"{window}\""),
            &["dedupe_window", "`7d`"],
        );
    }
}

#[test]
fn a_file_without_sources_and_two_sources_at_one_path_are_refused() {
    let none = parse("a.toml", "").unwrap_err();
    assert!(matches!(none, SourceError::NoSources { .. }));
    let twice = DECLARED.replace("/api/integration/bank-callback/stripe", "/webhooks/up");
    let twice = parse("a.toml", &twice).unwrap_err();
    assert!(matches!(twice, SourceError::SamePath { .. }), "{twice}");
    assert!(matches!(parse("a.toml", "[").unwrap_err(), SourceError::Toml { .. }));
}

#[test]
fn a_partner_needs_no_code() {
    let declared = r#"
        [sources.partner]
        preset = "free"
        path = "/webhooks/partner"
        secrets = [{ id = "env", env = "PARTNER_SECRET" }]
        success_code = 204

        [sources.partner.scheme]
        header = "X-Partner-Signature"
        parse = { prefix = "hmac " }
        signed = "{header:x-partner-id}|{timestamp}|{body}"
        algorithm = "hmac-sha512"
        key = "hex"
        signature = "base64"
        timestamp = { header = "X-Partner-Time", form = "unix-ms" }
        tolerance_past_s = 60

        [sources.partner.event]
        id = "header:X-Partner-Id"
        kind = "/what"
        time = "/when"
        time_form = "unix-seconds"
    "#;
    let source = parse("a.toml", declared).unwrap().remove(0);
    assert_eq!(source.success_code, 204);
    let secret = crate::Secret::new("000102030405060708090a0b0c0d0e0f").unwrap();
    let body = br#"{"what":"paid","when":1767323045}"#;
    let id = crate::Header { name: "x-partner-id".into(), value: "p-1".into() };
    let signer = crate::Signer::new(source.scheme.clone(), &secret).unwrap();
    let headers = signer.sign(&[id], body, 1_767_323_045_678).unwrap();
    // made once by another implementation
    let expect = "hmac v1PnDABp1SGO+j/wmkC+GA7hN15QmrlnrR3RJpVzxrhI\
        wnGEsAL0JirFQfR/3ovEsbF70y8E8eXj06fnujLlMw==";
    assert_eq!(headers[0].value, expect);
    let verifier = crate::Verifier::new(source.scheme, vec![("env".into(), secret)]).unwrap();
    let verified = verifier.verify(&headers, body, 1_767_323_105_678).unwrap();
    assert_eq!(verified.timestamp, Some(1_767_323_045_678));
    let late = verifier.verify(&headers, body, 1_767_323_105_679);
    assert_eq!(late, Err(crate::Reason::ClockSkew));
    let event = source.event.read_from(&headers, body).unwrap();
    assert_eq!((event.id.as_str(), event.kind.as_str()), ("p-1", "paid"));
    assert_eq!(event.occurred_at, Some(1_767_323_045_000));
}

#[test]
fn every_preset_is_a_source() {
    for preset in Scheme::NAMES {
        let params = match preset {
            "paypal" => "params = { webhook_id = \"WH-1\" }",
            _ => "",
        };
        let text = format!(
            "[sources.a]\n{params}\npreset = \"{preset}\"\npath = \"/a\"\n\
             secrets = [{{ id = \"a\", env = \"A\" }}]"
        );
        let source = parse("a.toml", &text).unwrap().remove(0);
        assert_eq!(source.scheme.name, preset);
        assert!(source.ack_deadline.as_secs() >= 5 && source.dedupe_window.as_secs() >= 86_400);
    }
}

#[test]
fn a_scheme_and_its_parameters_must_fit_the_preset() {
    #[track_caller]
    fn check(rest: &str, expect: &str) {
        let text = format!(
            "[sources.a]\npath = \"/a\"\nsecrets = [{{ id = \"a\", env = \"A\" }}]\n{rest}"
        );
        let error = parse("a.toml", &text).unwrap_err().to_string();
        assert!(error.contains(expect), "`{error}` should contain `{expect}`");
    }
    const SCHEME: &str =
        "scheme = { header = \"x\", signed = \"{body}\", algorithm = \"hmac-sha256\" }";
    check("preset = \"free\"", "needs a `scheme` table");
    check(&format!("preset = \"up\"\n{SCHEME}"), "only a source of `preset = \"free\"`");
    check(&format!("preset = \"free\"\n{SCHEME}"), "sources.a.event");
    check(
        &format!("preset = \"free\"\n{SCHEME}\nevent = {{ id = \"id\", kind = \"/type\" }}"),
        "`header:NAME`",
    );
    check("preset = \"convoy\"\nparams = { mode = \"both\" }", "`simple` or `advanced`");
    check("preset = \"up\"\nsuccess_code = 302", "200 to 299");
    check("preset = \"paypal\"", "`params` must set `webhook_id`");
    check("preset = \"moneykit\"\ntolerance = \"1h\"", "retries a delivery");
}

#[test]
fn keys_may_be_fetched_instead_of_kept() {
    let sources = parse(
        "a.toml",
        r#"
        [sources.moneykit]
        preset = "moneykit"
        path = "/moneykit"
        jwks_url = "https://api.moneykit.com/.well-known/jwks.json"
        jwks_token = { file = "token" }

        [sources.plaid]
        preset = "plaid"
        path = "/plaid"
        secrets = [{ id = "kept", file = "plaid.json", optional = true }]

        [sources.plaid.key_request]
        url = "https://production.plaid.com/webhook_verification_key/get"
        client_id = { env = "PLAID_CLIENT_ID" }
        secret = { file = "plaid.secret" }

        [sources.paypal]
        preset = "paypal"
        path = "/paypal"
        params = { webhook_id = "WH-1" }
        certificates = { hosts = ["api.paypal.com"], roots = "roots.pem" }

        [sources.truelayer]
        preset = "truelayer"
        path = "/truelayer"
        jwks_url = "https://webhooks.truelayer.com/.well-known/jwks"
        "#,
    )
    .unwrap();
    let by_name = |name: &str| {
        let mut source = sources.iter().find(|source| source.name == name).unwrap().clone();
        source.anchor_files(Path::new("/etc/bankstream"));
        source
    };
    let file = |name: &str| SecretSite::File(Path::new("/etc/bankstream").join(name));
    let moneykit = by_name("moneykit");
    assert_eq!(moneykit.secrets, []);
    assert_eq!(
        moneykit.remote,
        Some(RemoteKeys::Set {
            url: "https://api.moneykit.com/.well-known/jwks.json".into(),
            token: Some(file("token")),
        })
    );
    assert_eq!(
        by_name("plaid").remote,
        Some(RemoteKeys::OnRequest {
            url: "https://production.plaid.com/webhook_verification_key/get".into(),
            client_id: SecretSite::Env("PLAID_CLIENT_ID".into()),
            secret: file("plaid.secret"),
        })
    );
    let paypal = by_name("paypal");
    let roots = Some("/etc/bankstream/roots.pem".into());
    let name = "messageverificationcerts.paypal.com".into();
    assert_eq!(paypal.remote, Some(RemoteKeys::Certificates { name, roots }));
    let pins = |it: &Expectation| matches!(it, Expectation::KeyUrl { hosts, .. } if *hosts == ["api.paypal.com"]);
    assert!(paypal.scheme.expects.iter().any(pins), "{:?}", paypal.scheme.expects);
    // the sandbox's keys are not the live ones
    let live = vec!["https://webhooks.truelayer.com/.well-known/jwks".to_owned()];
    let carrier = Carrier::DetachedJws { key_urls: live };
    assert_eq!(by_name("truelayer").scheme.carrier, carrier);
}

#[test]
fn a_place_of_keys_must_be_safe_and_fit_the_scheme() {
    #[track_caller]
    fn check(preset: &str, rest: &str, expect: &str) {
        let text = format!("[sources.a]\npath = \"/a\"\npreset = \"{preset}\"\n{rest}");
        let error = parse("a.toml", &text).unwrap_err().to_string();
        assert!(error.contains(expect), "`{error}` should contain `{expect}`");
    }
    const SAFE: &str = "jwks_url = \"https://bank.example/jwks\"";
    check("moneykit", "", "`sources.a.secrets` is `0 entries`");
    check("moneykit", "jwks_url = \"http://bank.example/jwks\"", "this machine only");
    check("moneykit", "jwks_token = { env = \"A\" }", "`jwks_url` beside it");
    check("moneykit", &format!("{SAFE}\njwks_token = {{}}"), "either `env` or `file`");
    check("moneykit", &format!("{SAFE}\ncertificates = {{}}"), "not two");
    check("up", SAFE, "shared ones");
    check("moneykit", "certificates = {}", "name their certificate");
    let paypal = "params = { webhook_id = \"WH-1\" }\ncertificates";
    check("paypal", &format!("{paypal} = {{ hosts = [] }}"), "1 to 8 hosts");
    check("paypal", &format!("{paypal} = {{ hosts = [\"a/b\"] }}"), "1 to 8 hosts");
    let site = "{ env = \"A\" }";
    let request = format!(
        "key_request = {{ url = \"https://bank.example/key\", client_id = {site}, secret = {site} }}"
    );
    check("wise", &request, "tokens name their key");
}
