use signatures::{Reason, Scheme, Secret, sign};
use warp::http::{HeaderMap, HeaderValue};

use super::*;
use crate::config::SystemSecrets;
use crate::metrics::Metrics;
use crate::testing::{TestIngress, up_body};

const SOURCE: &str = r#"
    [sources.up]
    preset = "up"
    path = "/webhooks/up"
    secrets = [{ id = "file", file = "up" }, { id = "next", file = "up.next", optional = true }]
"#;

fn judged(door: &Door, secret: &str) -> Result<String, Reason> {
    let body = up_body("e-1", None);
    let secret = Secret::new(secret).unwrap();
    let header = sign(&Scheme::up(), &secret, body.as_bytes(), 0).remove(0);
    let mut headers = HeaderMap::new();
    let value = HeaderValue::from_str(&header.value).unwrap();
    headers.insert("x-up-authenticity-signature", value);
    door.judge(&headers, body.as_bytes(), 0).map(|(verified, _)| verified.key_id)
}

#[tokio::test]
async fn changed_secret_files_are_taken_and_a_broken_one_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("up", "first");
    let mut source = signatures::source::parse("a.toml", SOURCE).unwrap().remove(0);
    source.anchor_files(folder.path());
    let door = Door::open(source, &SystemSecrets, &Metrics::new().unwrap()).unwrap();
    let ingress = TestIngress::start().await;
    let mut seen = marks(&door, &SystemSecrets);
    let mut look = || look(&ingress.shared, &door, &SystemSecrets, &mut seen);

    assert_eq!(judged(&door, "first"), Ok("file".into()));
    write("up.next", "second\n");
    assert_eq!(judged(&door, "second"), Err(Reason::SignatureMismatch));
    look();
    assert_eq!(judged(&door, "second"), Ok("next".into()));
    assert_eq!(judged(&door, "first"), Ok("file".into()));

    write("up", "");
    look();
    assert_eq!(judged(&door, "first"), Ok("file".into()));
    assert!(ingress.counts("webhook_secret_reload_failures_total 1"));

    write("up", "third!");
    look();
    assert_eq!(judged(&door, "third!"), Ok("file".into()));
    assert_eq!(judged(&door, "first"), Err(Reason::SignatureMismatch));
}
