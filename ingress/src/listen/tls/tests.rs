use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};

use openssl::asn1::Asn1Time;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{SslConnector, SslMethod, SslStream, SslVersion};
use openssl::x509::extension::SubjectAlternativeName;
use openssl::x509::{X509, X509NameBuilder};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio_rustls::TlsConnector;

use super::*;
use crate::metrics::Metrics;
use crate::testing::{Broker, NOW, TestIngress, limits, up_body, up_signature};

/// When certificates of the tests end, seconds since 1970: a day after tests begin.
const END_S: i64 = NOW / 1000 + 86_400;

const SHORT: Duration = Duration::from_millis(50);

fn key() -> PKey<Private> {
    let curve = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(EcKey::generate(&curve).unwrap()).unwrap()
}

/// A certificate for `localhost` that signs itself, good until `end_s`.
fn certificate(key: &PKey<Private>, end_s: i64) -> X509 {
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", "localhost").unwrap();
    let name = name.build();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder.set_subject_name(&name).unwrap();
    builder.set_issuer_name(&name).unwrap();
    builder.set_not_before(&Asn1Time::from_unix(0).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::from_unix(end_s).unwrap()).unwrap();
    builder.set_pubkey(key).unwrap();
    let names = SubjectAlternativeName::new()
        .dns("localhost")
        .build(&builder.x509v3_context(None, None))
        .unwrap();
    builder.append_extension(names).unwrap();
    builder.sign(key, MessageDigest::sha256()).unwrap();
    builder.build()
}

/// The files of a server, as an operator has them.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.renew(END_S);
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a new certificate and key, and gives the certificate.
    fn renew(&self, end_s: i64) -> Vec<u8> {
        let key = key();
        let pem = certificate(&key, end_s).to_pem().unwrap();
        std::fs::write(self.path("tls.crt"), &pem).unwrap();
        std::fs::write(self.path("tls.key"), key.private_key_to_pem_pkcs8().unwrap()).unwrap();
        pem
    }

    fn options(&self) -> Options {
        Options {
            tls_certificate: Some(self.path("tls.crt")),
            tls_key: Some(self.path("tls.key")),
            tls_handshake_timeout: Duration::from_secs(20),
        }
    }

    fn open(&self) -> Result<Arc<Tls>, CertificateError> {
        let metrics = Metrics::new().unwrap().tls;
        Tls::open(&self.options(), NOW, metrics).map(Option::unwrap)
    }
}

fn request(id: &str) -> Vec<u8> {
    let body = up_body(id, None);
    let (signature, length) = (up_signature("up", &body), body.len());
    format!(
        "POST /webhooks/up HTTP/1.1\r\nhost: a\r\nx-up-authenticity-signature: {signature}\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

type Stream = SslStream<std::net::TcpStream>;

/// A client that takes exactly one version, and any certificate: which one is asked for apart.
fn connect(addr: std::net::SocketAddr, version: SslVersion) -> Result<Stream, String> {
    let mut connector = SslConnector::builder(SslMethod::tls_client()).unwrap();
    connector.set_verify(openssl::ssl::SslVerifyMode::NONE);
    // The lowest level of this library, so that it is the server who refuses what is old.
    connector.set_cipher_list("DEFAULT:@SECLEVEL=0").unwrap();
    connector.set_min_proto_version(Some(version)).unwrap();
    connector.set_max_proto_version(Some(version)).unwrap();
    connector.set_alpn_protos(b"\x08http/1.1").unwrap();
    let stream = std::net::TcpStream::connect(addr).unwrap();
    connector.build().connect("localhost", stream).map_err(|error| error.to_string())
}

/// Sends one webhook and reads the head of its answer.
fn exchange(stream: &mut Stream, id: &str) -> String {
    stream.write_all(&request(id)).unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        answer.extend(byte);
    }
    String::from_utf8(answer).unwrap()
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

fn shown(stream: &Stream) -> Vec<u8> {
    stream.ssl().peer_certificate().unwrap().to_pem().unwrap()
}

#[tokio::test]
async fn tls_1_2_and_1_3_are_spoken_and_1_1_is_refused() {
    let folder = Folder::new();
    let tls = folder.open().unwrap();
    let ingress = TestIngress::with_tls(Arc::clone(&tls), limits()).await;
    let addr = ingress.addr();
    for (version, name) in [(SslVersion::TLS1_2, "TLSv1.2"), (SslVersion::TLS1_3, "TLSv1.3")] {
        blocking(move || {
            let mut stream = connect(addr, version).unwrap();
            assert_eq!(stream.ssl().version_str(), name);
            assert_eq!(stream.ssl().selected_alpn_protocol(), Some(&b"http/1.1"[..]));
            assert!(exchange(&mut stream, name).starts_with("HTTP/1.1 200 OK"));
            assert!(exchange(&mut stream, &format!("{name} again")).starts_with("HTTP/1.1 200 OK"));
        })
        .await;
    }
    assert_eq!(tls.metrics.refused.get(), 0);
    for version in [SslVersion::TLS1, SslVersion::TLS1_1] {
        let error = blocking(move || connect(addr, version).unwrap_err()).await;
        // An alert is the server's word; without one this side would not even have asked.
        assert!(error.contains("alert"), "{error}");
    }
    while tls.metrics.refused.get() != 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(ingress.records().len(), 4);
}

#[tokio::test]
async fn http_2_is_chosen_by_who_offers_it_in_the_handshake() {
    let folder = Folder::new();
    let ingress = TestIngress::with_tls(folder.open().unwrap(), limits()).await;
    let mut roots = rustls::RootCertStore::empty();
    let pem = std::fs::read(folder.path("tls.crt")).unwrap();
    roots.add(CertificateDer::from_pem_slice(&pem).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = rustls::client::WebPkiServerVerifier::builder_with_provider(
        Arc::new(roots),
        Arc::clone(&provider),
    );
    let mut client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_webpki_verifier(verifier.build().unwrap())
        .with_no_client_auth();
    client.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    client.time_provider = Arc::new(AtTheTimeOfTests);
    let name = ServerName::try_from("localhost").unwrap();
    let stream = ingress.connect().await;
    let stream = TlsConnector::from(Arc::new(client)).connect(name, stream).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));

    let executor = hyper_util::rt::TokioExecutor::new();
    let stream = hyper_util::rt::TokioIo::new(stream);
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(executor, stream).await.unwrap();
    let tasks = tokio_util::task::TaskTracker::new();
    let connection = tasks.spawn(connection);
    let body = up_body("e-1", None);
    let post = warp::http::Request::post("https://localhost/webhooks/up")
        .header("x-up-authenticity-signature", up_signature("up", &body));
    let response = client.send_request(post.body(body).unwrap()).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(ingress.records().len(), 1);
    drop(client);
    connection.await.unwrap().unwrap();
}

#[derive(Debug)]
struct AtTheTimeOfTests;

impl rustls::time_provider::TimeProvider for AtTheTimeOfTests {
    fn current_time(&self) -> Option<rustls::pki_types::UnixTime> {
        let since = Duration::from_millis(u64::try_from(NOW).unwrap());
        Some(rustls::pki_types::UnixTime::since_unix_epoch(since))
    }
}

#[tokio::test]
async fn plain_http_on_the_tls_port_is_refused() {
    let folder = Folder::new();
    let tls = folder.open().unwrap();
    let ingress = TestIngress::with_tls(Arc::clone(&tls), limits()).await;
    let mut stream = ingress.connect().await;
    tokio::io::AsyncWriteExt::write_all(&mut stream, &request("e-1")).await.unwrap();
    let mut said = Vec::new();
    // An alert or a reset: in any case nothing of HTTP.
    if let Err(error) = stream.read_to_end(&mut said).await {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
    assert!(!said.starts_with(b"HTTP"), "{said:?}");
    assert_eq!((tls.metrics.refused.get(), ingress.records().len()), (1, 0));
}

#[tokio::test]
async fn a_handshake_that_takes_too_long_is_cut() {
    let folder = Folder::new();
    let options = Options { tls_handshake_timeout: SHORT, ..folder.options() };
    let metrics = Metrics::new().unwrap().tls;
    let tls = Tls::open(&options, NOW, metrics.clone()).unwrap().unwrap();
    let ingress = TestIngress::with_tls(tls, limits()).await;
    let mut stream = ingress.connect().await;
    // The first bytes of a handshake, and no more of them.
    tokio::io::AsyncWriteExt::write_all(&mut stream, b"\x16\x03\x01\x02\x00\x01").await.unwrap();
    let mut said = Vec::new();
    stream.read_to_end(&mut said).await.unwrap();
    assert_eq!((said.len(), metrics.timed_out.get()), (0, 1));
    while !ingress.counts("webhook_connections 0") {
        tokio::task::yield_now().await;
    }
}

#[derive(Clone)]
struct TestClock(Arc<AtomicI64>);

impl Clock for TestClock {
    fn now(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_to_new_connections_and_drops_no_old_one() {
    let folder = Folder::new();
    let tls = folder.open().unwrap();
    let ingress = TestIngress::with_tls(Arc::clone(&tls), limits()).await;
    let addr = ingress.addr();
    assert_eq!(tls.metrics.not_after.get(), END_S);
    let mut open = blocking(move || connect(addr, SslVersion::TLS1_3).unwrap()).await;
    let first = shown(&open);
    // One request is under way while the certificate changes.
    ingress.broker(Broker::Hangs);
    let under_way = tokio::task::spawn_blocking(move || {
        let answer = exchange(&mut open, "under way");
        (open, answer)
    });
    while ingress.topic.held.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }

    let renewed = folder.renew(END_S + 86_400);
    let clock = TestClock(Arc::new(AtomicI64::new(NOW)));
    let stop = CancellationToken::new();
    let tasks = tokio_util::task::TaskTracker::new();
    let watching = tasks.spawn(Arc::clone(&tls).watch(clock, SHORT / 10, stop.clone()));
    while tls.metrics.not_after.get() != END_S + 86_400 {
        tokio::task::yield_now().await;
    }
    stop.cancel();
    watching.await.unwrap();

    ingress.broker(Broker::Accepts);
    ingress.topic.held.lock().unwrap().remove(0).accepted();
    let (mut open, answer) = under_way.await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    let (answer, fresh) = blocking(move || {
        (exchange(&mut open, "on the old connection"), connect(addr, SslVersion::TLS1_2).unwrap())
    })
    .await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert_eq!(shown(&fresh), renewed);
    assert_ne!(first, renewed);
    // What was written in two steps may have been seen in between, once.
    assert!(tls.metrics.reloaded.get() == 1 && tls.metrics.reload_refused.get() <= 1);
}

#[test]
fn a_broken_file_is_kept_out_reported_once_and_the_next_good_one_taken() {
    let folder = Folder::new();
    let tls = folder.open().unwrap();
    let before = Arc::clone(&tls.config.read().unwrap());
    let mut refused = 0;
    let mut check = |breaks: &dyn Fn(&Path)| {
        folder.renew(END_S);
        breaks(folder.0.path());
        tls.look(NOW);
        tls.look(NOW);
        refused += 1;
        assert_eq!((tls.metrics.reload_refused.get(), tls.metrics.reloaded.get()), (refused, 0));
        assert!(Arc::ptr_eq(&before, &tls.config.read().unwrap()));
    };
    let write = |name: &'static str, bytes: &'static [u8]| {
        move |folder: &Path| std::fs::write(folder.join(name), bytes).unwrap()
    };
    check(&write("tls.crt", b""));
    check(&write("tls.key", b""));
    check(&write("tls.crt", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"));
    check(&write("tls.crt", b"-----BEGIN CERTIFICATE-----\nAAAA\n"));
    check(&|folder| std::fs::remove_file(folder.join("tls.key")).unwrap());
    check(&|folder| std::fs::write(folder.join("tls.crt"), vec![b'\n'; 300_000]).unwrap());
    let other = key().private_key_to_pem_pkcs8().unwrap();
    check(&|folder| std::fs::write(folder.join("tls.key"), &other).unwrap());
    let over = certificate(&key(), NOW / 1000 - 1).to_pem().unwrap();
    check(&|folder| std::fs::write(folder.join("tls.crt"), &over).unwrap());

    folder.renew(END_S + 1);
    tls.look(NOW);
    assert_eq!((tls.metrics.reloaded.get(), tls.metrics.not_after.get()), (1, END_S + 1));
    assert!(!Arc::ptr_eq(&before, &tls.config.read().unwrap()));
}

#[test]
fn a_link_that_is_exchanged_is_a_change() {
    let (link, [old, new]) = (tempfile::tempdir().unwrap(), [Folder::new(), Folder::new()]);
    let data = link.path().join("data");
    std::os::unix::fs::symlink(old.0.path(), &data).unwrap();
    let options = Options {
        tls_certificate: Some(data.join("tls.crt")),
        tls_key: Some(data.join("tls.key")),
        tls_handshake_timeout: SHORT,
    };
    let metrics = Metrics::new().unwrap().tls;
    let tls = Tls::open(&options, NOW, metrics.clone()).unwrap().unwrap();
    let next = link.path().join("next");
    std::os::unix::fs::symlink(new.0.path(), &next).unwrap();
    std::fs::rename(&next, &data).unwrap();
    tls.look(NOW);
    assert_eq!((metrics.reloaded.get(), metrics.reload_refused.get()), (1, 0));
}

#[test]
fn a_start_with_files_that_cannot_be_used_names_them() {
    #[track_caller]
    fn check(breaks: impl FnOnce(&Folder), expect: &[&str]) {
        let folder = Folder::new();
        breaks(&folder);
        let error = folder.open().unwrap_err().to_string();
        for part in expect {
            assert!(error.contains(part), "`{error}` should contain `{part}`");
        }
    }
    check(|folder| std::fs::remove_file(folder.path("tls.crt")).unwrap(), &["read", "tls.crt"]);
    check(
        |folder| std::fs::write(folder.path("tls.key"), "secret").unwrap(),
        &["tls.key", "private key", "PEM"],
    );
    check(|folder| drop(folder.renew(NOW / 1000 - 3 * 86_400)), &["tls.crt", "3 days"]);
    let plain = Options { tls_certificate: None, tls_key: None, tls_handshake_timeout: SHORT };
    assert!(Tls::open(&plain, NOW, Metrics::new().unwrap().tls).unwrap().is_none());
}
