use super::*;

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
