use signatures::{Reason, Scheme, Secret, sign};
use warp::http::{HeaderMap, HeaderValue};

use super::*;
use crate::config::SystemSecrets;
use crate::key_fetch::provider::{Manner, Pair, Provider, set};
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

/// A folder as Kubernetes mounts a secret: links to files in a folder that a link points to.
struct Mounted(tempfile::TempDir);

impl Mounted {
    fn with(text: &str) -> Self {
        let mounted = Self(tempfile::tempdir().unwrap());
        mounted.exchange("..first", text);
        std::os::unix::fs::symlink("..data/up", mounted.0.path().join("up")).unwrap();
        mounted
    }

    /// Puts another folder in place, whose file is as old as every other.
    fn exchange(&self, folder: &str, text: &str) {
        let path = self.0.path();
        std::fs::create_dir(path.join(folder)).unwrap();
        let file = path.join(folder).join("up");
        std::fs::write(&file, text).unwrap();
        let file = std::fs::File::options().write(true).open(file).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        std::os::unix::fs::symlink(folder, path.join("..data_tmp")).unwrap();
        std::fs::rename(path.join("..data_tmp"), path.join("..data")).unwrap();
    }

    fn door(&self) -> Door {
        let mut source = signatures::source::parse("a.toml", SOURCE).unwrap().remove(0);
        source.anchor_files(self.0.path());
        Door::open(source, &SystemSecrets, &Metrics::new().unwrap()).unwrap()
    }
}

#[tokio::test]
async fn a_secret_that_kubernetes_exchanges_is_taken_although_it_is_as_old_and_as_long() {
    let mounted = Mounted::with("first");
    let door = mounted.door();
    let ingress = TestIngress::start().await;
    let mut seen = marks(&door, &SystemSecrets);
    mounted.exchange("..again", "again");
    look(&ingress.shared, &door, &SystemSecrets, &mut seen);
    assert_eq!(judged(&door, "again"), Ok("file".into()));
    assert_eq!(judged(&door, "first"), Err(Reason::SignatureMismatch));
}

#[tokio::test]
async fn a_secret_that_changed_before_the_watch_began_is_taken() {
    let mounted = Mounted::with("first");
    let door = mounted.door();
    mounted.exchange("..again", "again");
    let ingress = TestIngress::start().await;
    look(&ingress.shared, &door, &SystemSecrets, &mut Vec::new());
    assert_eq!(judged(&door, "again"), Ok("file".into()));
}

#[test]
fn no_request_is_refused_while_secrets_are_reloaded() {
    let mounted = Mounted::with("first");
    let door = mounted.door();
    let next = mounted.0.path().join("up.next");
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let verifying = [(); 2].map(|()| {
            scope.spawn(|| {
                let mut judgements = 0;
                while !stop.load(std::sync::atomic::Ordering::Acquire) {
                    assert_eq!(judged(&door, "first"), Ok("file".into()));
                    judgements += 1;
                }
                judgements
            })
        });
        for _ in 0..100 {
            std::fs::write(&next, "second").unwrap();
            door.reload(&SystemSecrets).unwrap();
            assert_eq!(judged(&door, "second"), Ok("next".into()));
            std::fs::remove_file(&next).unwrap();
            door.reload(&SystemSecrets).unwrap();
            assert_eq!(judged(&door, "second"), Err(Reason::SignatureMismatch));
        }
        stop.store(true, std::sync::atomic::Ordering::Release);
        for verifying in verifying {
            assert!(verifying.join().unwrap() > 0);
        }
    });
}

#[test]
fn the_end_of_a_key_is_shown_for_as_long_as_the_key_is_there() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("up"), "first").unwrap();
    std::fs::write(folder.path().join("old"), "old").unwrap();
    let table = r#"
        [sources.up]
        preset = "up"
        path = "/webhooks/up"
        secrets = [
            { id = "file", file = "up" },
            { id = "old", file = "old", optional = true, not_after = "2026-03-03T00:00:00Z" },
        ]
    "#;
    let mut source = signatures::source::parse("a.toml", table).unwrap().remove(0);
    source.anchor_files(folder.path());
    let metrics = Metrics::new().unwrap();
    let door = Door::open(source, &SystemSecrets, &metrics).unwrap();
    let lines = || {
        let text = metrics.text().unwrap();
        let is_end = |line: &&str| line.starts_with("webhook_key_not_after_timestamp_seconds{");
        text.lines().filter(is_end).map(str::to_owned).collect::<Vec<_>>()
    };
    let end = r#"webhook_key_not_after_timestamp_seconds{key="old",source="up"} 1772496000"#;
    assert_eq!(lines(), [end]);
    door.reload(&SystemSecrets).unwrap();
    assert_eq!(lines(), [end]);
    std::fs::remove_file(folder.path().join("old")).unwrap();
    door.reload(&SystemSecrets).unwrap();
    assert_eq!(lines(), [""; 0]);
}

#[tokio::test]
async fn published_keys_are_fetched_from_the_start_and_the_record_says_which_one_it_was() {
    let key = Pair::new("2026-03");
    let provider = Provider::start(Manner::Gives(set(&[&key]))).await;
    let sources = format!(
        "[sources.plaid]\npreset = \"plaid\"\npath = \"/plaid\"\njwks_url = \"{}\"",
        provider.url
    );
    let ingress = TestIngress::with_sources(sources).await;
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    start(&ingress.shared, &tasks, &stop).unwrap();
    let body = br#"{"webhook_code":"SYNC_UPDATES_AVAILABLE","item_id":"i-1"}"#;
    let headers = key.sign(&Scheme::plaid(), body, crate::testing::NOW);
    let token = headers["plaid-verification"].to_str().unwrap();
    let reply = ingress.request("POST", "/plaid", &[("plaid-verification", token)], body).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let record = ingress.records().remove(0).value;
    assert_eq!((record.key_id.as_str(), record.integrity.as_str()), ("2026-03", "full"));
    assert!(ingress.counts(r#"webhook_key_used_total{key="2026-03",source="plaid"} 1"#));
    stop.cancel();
    tasks.close();
    tasks.wait().await;
}
