//! A provider of the tests' own: it signs, publishes its keys, and counts who asks for them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::bn::{BigNum, BigNumContext};
use openssl::ec::{EcGroup, EcKey};
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use sha2::{Digest as _, Sha256};
use signatures::{Scheme, Secret, Signer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;
use warp::http::{HeaderMap, HeaderName, HeaderValue};

/// A key pair on P-256 with a name.
#[derive(Clone)]
pub(crate) struct Pair {
    pub(crate) kid: String,
    pem: Vec<u8>,
    x: String,
    y: String,
}

impl Pair {
    pub(crate) fn new(kid: &str) -> Self {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        let key = EcKey::generate(&group).unwrap();
        let (mut x, mut y) = (BigNum::new().unwrap(), BigNum::new().unwrap());
        let mut context = BigNumContext::new().unwrap();
        key.public_key().affine_coordinates(&group, &mut x, &mut y, &mut context).unwrap();
        let text = |number: &BigNum| URL_SAFE_NO_PAD.encode(number.to_vec_padded(32).unwrap());
        let pem = PKey::from_ec_key(key).unwrap().private_key_to_pem_pkcs8().unwrap();
        Self { kid: kid.to_owned(), pem, x: text(&x), y: text(&y) }
    }

    /// The public one, as it is published; `more` are further fields.
    pub(crate) fn jwk(&self, more: &str) -> String {
        let Self { kid, x, y, .. } = self;
        format!(
            r#"{{"kty":"EC","crv":"P-256","alg":"ES256","use":"sig","kid":"{kid}","x":"{x}","y":"{y}"{more}}}"#
        )
    }

    /// The headers of a request with this body at this time.
    pub(crate) fn sign(&self, scheme: &Scheme, body: &[u8], at: i64) -> HeaderMap {
        let signer = Signer::new(scheme.clone(), &Secret::new(self.pem.clone()).unwrap()).unwrap();
        let headers = signer.named(&self.kid).sign(&[], body, at).unwrap();
        let header = |header: signatures::Header| {
            let name = HeaderName::try_from(header.name).unwrap();
            (name, HeaderValue::try_from(header.value).unwrap())
        };
        headers.into_iter().map(header).collect()
    }
}

/// A set of these.
pub(crate) fn set(pairs: &[&Pair]) -> String {
    let keys: Vec<_> = pairs.iter().map(|pair| pair.jwk("")).collect();
    format!(r#"{{"keys":[{}]}}"#, keys.join(","))
}

/// The headers of a request as Plaid's, by somebody who knows all but the key.
pub(crate) fn forged(kid: &str, body: &[u8], at: i64) -> HeaderMap {
    let text = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let (iat, hash) = (at / 1000, hex::encode(Sha256::digest(body)));
    let token = [
        text(&format!(r#"{{"alg":"ES256","kid":"{kid}","typ":"JWT"}}"#)),
        text(&format!(r#"{{"iat":{iat},"request_body_sha256":"{hash}"}}"#)),
        URL_SAFE_NO_PAD.encode([7; 64]),
    ];
    let value = HeaderValue::try_from(token.join(".")).unwrap();
    [(HeaderName::from_static("plaid-verification"), value)].into_iter().collect()
}

/// What it answers.
#[derive(Clone, Debug)]
pub(crate) enum Manner {
    /// 200 with this.
    Gives(String),
    /// 200 with this, when [`Provider::let_go`] says so.
    Waits(String),
    /// This status line and these headers, without a body.
    Says(String),
    /// 200, and then bytes without end.
    Floods,
    /// The head, and then nothing.
    Stalls,
    /// Nothing: the connection is closed.
    HangsUp,
}

struct State {
    manner: Mutex<Manner>,
    requests: Mutex<Vec<String>>,
    gate: Semaphore,
}

/// The server.
pub(crate) struct Provider {
    pub(crate) url: String,
    pub(crate) addr: SocketAddr,
    state: Arc<State>,
    tasks: tokio::task::JoinHandle<()>,
}

impl Provider {
    pub(crate) async fn start(manner: Manner) -> Self {
        Self::listen(manner, None).await
    }

    /// One that shows this certificate (PEM) and has its key.
    pub(crate) async fn with_tls(manner: Manner, identity: (Vec<u8>, PKey<Private>)) -> Self {
        Self::listen(manner, Some(acceptor(&identity.0, &identity.1))).await
    }

    async fn listen(manner: Manner, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let url = format!("http://{addr}/keys");
        let state = Arc::new(State {
            manner: Mutex::new(manner),
            requests: Mutex::default(),
            gate: Semaphore::new(0),
        });
        let serving = Arc::clone(&state);
        let tracker = TaskTracker::new();
        let tasks = tracker.clone().spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, serving) = (tls.clone(), Arc::clone(&serving));
                tracker.spawn(async move {
                    match tls {
                        None => serve(stream, serving).await,
                        Some(tls) => {
                            // a client that does not trust us is gone already
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, serving).await;
                            }
                        }
                    }
                });
            }
        });
        Self { url, addr, state, tasks }
    }

    pub(crate) fn now(&self, manner: Manner) {
        *self.state.manner.lock().unwrap() = manner;
    }

    /// Lets one waiting answer go.
    pub(crate) fn let_go(&self) {
        self.state.gate.add_permits(1);
    }

    /// Every request so far, head and body.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.state.requests.lock().unwrap().clone()
    }

    pub(crate) fn asked(&self) -> usize {
        self.state.requests.lock().unwrap().len()
    }

    /// Waits until it was asked so often.
    pub(crate) async fn was_asked(&self, times: usize) {
        while self.asked() < times {
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.tasks.abort();
    }
}

fn acceptor(certificate: &[u8], key: &PKey<Private>) -> TlsAcceptor {
    let chain = vec![CertificateDer::from_pem_slice(certificate).unwrap()];
    let key = key.private_key_to_pem_pkcs8().unwrap();
    let key = PrivateKeyDer::from_pem_slice(&key).unwrap();
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, state: Arc<State>) {
    let mut request = String::new();
    let mut buffer = [0; 4096];
    while !is_whole(&request) {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(count) => request.push_str(std::str::from_utf8(&buffer[..count]).unwrap()),
        }
    }
    state.requests.lock().unwrap().push(request);
    let manner = state.manner.lock().unwrap().clone();
    let ok = |body: &str| {
        let length = body.len();
        format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")
    };
    let answer = match manner {
        Manner::Gives(ref body) => ok(body),
        Manner::Waits(ref body) => {
            state.gate.acquire().await.unwrap().forget();
            ok(body)
        }
        Manner::Says(ref head) => format!("HTTP/1.1 {head}\r\ncontent-length: 0\r\n\r\n"),
        Manner::Floods => "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_owned(),
        Manner::Stalls => "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{".to_owned(),
        Manner::HangsUp => return,
    };
    if stream.write_all(answer.as_bytes()).await.is_err() || stream.flush().await.is_err() {
        return;
    }
    match manner {
        Manner::Floods => while stream.write_all(&[b' '; 4096]).await.is_ok() {},
        // until the other side gives up
        Manner::Stalls => while !matches!(stream.read(&mut buffer).await, Ok(0) | Err(_)) {},
        _ => {}
    }
}

fn is_whole(request: &str) -> bool {
    let Some((head, body)) = request.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().unwrap())
    });
    body.len() >= length.unwrap_or(0)
}

/// How long a test's client waits for an answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);
