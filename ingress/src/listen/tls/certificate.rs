//! The certificate and its key, from their files.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use openssl::asn1::Asn1Time;
use openssl::x509::X509;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use sha2::{Digest as _, Sha256};

/// Bytes of one file. A chain of certificates has some thousands; more is a wrong path.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// What a client may choose by ALPN, what we like best first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

const DAY_S: i64 = 86_400;

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("cannot read {file}")]
    Read {
        /// The file.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// A file is not PEM of what it should hold.
    #[error("{file} should hold {expected} as PEM")]
    Pem {
        /// The file.
        file: String,
        /// What was expected.
        expected: &'static str,
        /// What is wrong.
        source: pem::Error,
    },
    /// The certificate is no certificate of X.509.
    #[error("{file} holds no X.509 certificate that can be read")]
    Malformed {
        /// The file.
        file: String,
        /// Why.
        source: openssl::error::ErrorStack,
    },
    /// Certificate and key do not belong together, or are of a kind that is not supported.
    #[error("{certificate} and {key} cannot be used together")]
    Unfit {
        /// The certificate's file.
        certificate: String,
        /// The key's file.
        key: String,
        /// Why.
        source: rustls::Error,
    },
    /// It is over.
    #[error("the certificate of {file} ended {days} days ago; expected one that is still good")]
    Expired {
        /// The file.
        file: String,
        /// Whole days since its end.
        days: i64,
    },
}

/// Where certificate and key are.
#[derive(Clone, Debug)]
pub(super) struct Files {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

/// What tells one state of the files from the next; `None` for a file that cannot be read.
pub(super) type Mark = [Option<[u8; 32]>; 2];

/// What the server shows and how it proves it.
pub(super) struct Identity {
    pub(super) config: Arc<ServerConfig>,
    /// When the certificate ends, seconds since 1970.
    pub(super) not_after_s: i64,
}

impl Files {
    pub(super) fn mark(&self) -> Mark {
        let digest = |path| read(path).ok().map(|bytes| Sha256::digest(bytes).into());
        [digest(&self.certificate), digest(&self.key)]
    }

    /// Reads both and judges them at the time `now`, milliseconds.
    pub(super) fn identity(&self, now: i64) -> Result<Identity, CertificateError> {
        let chain = self.chain()?;
        let not_after_s = self.not_after_s(&chain)?;
        let over_s = now.div_euclid(1000).saturating_sub(not_after_s);
        if over_s > 0 {
            let file = self.certificate.display().to_string();
            return Err(CertificateError::Expired { file, days: over_s / DAY_S });
        }
        let config =
            server_config(chain, self.key()?).map_err(|source| CertificateError::Unfit {
                certificate: self.certificate.display().to_string(),
                key: self.key.display().to_string(),
                source,
            })?;
        Ok(Identity { config: Arc::new(config), not_after_s })
    }

    fn chain(&self) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
        let bytes = open(&self.certificate)?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
        let chain = chain.and_then(|chain| {
            if chain.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(chain) }
        });
        chain.map_err(|source| CertificateError::Pem {
            file: self.certificate.display().to_string(),
            expected: "certificates",
            source,
        })
    }

    fn key(&self) -> Result<PrivateKeyDer<'static>, CertificateError> {
        let bytes = open(&self.key)?;
        PrivateKeyDer::from_pem_slice(&bytes).map_err(|source| CertificateError::Pem {
            file: self.key.display().to_string(),
            expected: "a private key",
            source,
        })
    }

    /// The TLS library looks at names and times of other sides' certificates, not at its own.
    fn not_after_s(&self, chain: &[CertificateDer<'_>]) -> Result<i64, CertificateError> {
        let first: &[u8] = chain.first().map_or(&[], AsRef::as_ref);
        let since_1970 = || {
            let epoch = Asn1Time::from_unix(0)?;
            epoch.diff(X509::from_der(first)?.not_after())
        };
        let since = since_1970().map_err(|source| CertificateError::Malformed {
            file: self.certificate.display().to_string(),
            source,
        })?;
        Ok(i64::from(since.days).saturating_mul(DAY_S).saturating_add(i64::from(since.secs)))
    }
}

fn open(path: &Path) -> Result<Vec<u8>, CertificateError> {
    read(path).map_err(|source| CertificateError::Read { file: path.display().to_string(), source })
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= FILE_BYTES_MAX) {
        return Ok(bytes);
    }
    Err(io::Error::other("longer than 256 KiB: neither certificates nor a key"))
}

/// TLS 1.2 and 1.3. Data sent ahead of the handshake's end is not taken: it can be repeated by
/// whoever saw it.
fn server_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    // A sender that comes again is spared half of the handshake, without a table of sessions here.
    config.ticketer = ring::Ticketer::new()?;
    Ok(config)
}
