//! TLS at the listener: how long a handshake may take, and a certificate that is renewed while
//! connections stay open.

mod certificate;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use rustls::ServerConfig;
use streams::Clock;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

pub use self::certificate::CertificateError;
use self::certificate::{Files, Identity, Mark};
use crate::config::span;
use crate::metrics::TlsMetrics;

/// How often the files are looked at. They are read whole: a link that is exchanged, as Kubernetes
/// does it, changes no time of the file behind it.
pub const WATCH_PERIOD: Duration = Duration::from_secs(2);

/// TLS of the listener. Without a certificate it speaks plain HTTP, for a proxy before it.
#[derive(Clone, Debug, clap::Args)]
#[group(id = "tls")]
pub struct Options {
    /// PEM file with the certificate chain, the server's own first; with it the listener speaks TLS
    /// only, 1.2 or newer. Read again when it changes.
    #[arg(long = "tls-certificate", env = "INGRESS_TLS_CERTIFICATE", requires = "tls_key")]
    pub tls_certificate: Option<PathBuf>,
    /// PEM file with the certificate's private key.
    #[arg(long = "tls-key", env = "INGRESS_TLS_KEY", requires = "tls_certificate")]
    pub tls_key: Option<PathBuf>,
    /// How long a connection may take for its handshake.
    #[arg(
        long = "tls-handshake-timeout",
        env = "INGRESS_TLS_HANDSHAKE_TIMEOUT",
        default_value = "5s",
        value_parser = span
    )]
    pub tls_handshake_timeout: Duration,
}

/// The listener's TLS, with the certificate of the moment.
#[derive(Debug)]
pub struct Tls {
    files: Files,
    handshake_timeout: Duration,
    /// Replaced as a whole; connections keep the one they began with.
    config: RwLock<Arc<ServerConfig>>,
    /// The files as they were last looked at, good or not: each state is judged and reported once.
    seen: Mutex<Mark>,
    metrics: TlsMetrics,
}

impl Tls {
    /// TLS as the options ask for it, if they do. `now`, milliseconds, judges the certificate's end.
    pub fn open(
        options: &Options,
        now: i64,
        metrics: TlsMetrics,
    ) -> Result<Option<Arc<Self>>, CertificateError> {
        let (Some(certificate), Some(key)) = (&options.tls_certificate, &options.tls_key) else {
            return Ok(None);
        };
        let files = Files { certificate: certificate.clone(), key: key.clone() };
        let seen = Mutex::new(files.mark());
        let identity = files.identity(now)?;
        metrics.not_after.set(identity.not_after_s);
        let config = RwLock::new(identity.config);
        let handshake_timeout = options.tls_handshake_timeout;
        Ok(Some(Arc::new(Self { files, handshake_timeout, config, seen, metrics })))
    }

    /// Shakes hands; `None` when that fails, takes too long, or is overtaken by `stop`.
    pub(super) async fn handshake(
        &self,
        stream: TcpStream,
        stop: &CancellationToken,
    ) -> Option<TlsStream<TcpStream>> {
        let config = Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner));
        let accepted = TlsAcceptor::from(config).accept(stream);
        let accepted = tokio::select! {
            () = stop.cancelled() => return None,
            accepted = tokio::time::timeout(self.handshake_timeout, accepted) => accepted,
        };
        match accepted {
            Ok(Ok(stream)) => return Some(stream),
            Ok(Err(error)) => {
                self.metrics.refused.inc();
                tracing::debug!("a TLS handshake failed: {error}");
            }
            Err(_) => self.metrics.timed_out.inc(),
        }
        None
    }

    /// Looks at the files every `period` until `stop`.
    pub async fn watch(
        self: Arc<Self>,
        clock: impl Clock,
        period: Duration,
        stop: CancellationToken,
    ) {
        while tokio::time::timeout(period, stop.cancelled()).await.is_err() {
            self.look(clock.now());
        }
    }

    /// Takes what is in the files if that has changed and is good; else the certificate from before
    /// stays. Connections that are open notice nothing.
    fn look(&self, now: i64) {
        let mark = self.files.mark();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == mark {
            return;
        }
        *seen = mark;
        drop(seen);
        match self.files.identity(now) {
            Ok(Identity { config, not_after_s }) => {
                *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
                self.metrics.not_after.set(not_after_s);
                self.metrics.reloaded.inc();
                tracing::info!(not_after_s, "TLS certificate reloaded");
            }
            Err(error) => {
                self.metrics.reload_refused.inc();
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                let cause = cause.unwrap_or_default();
                tracing::error!(
                    "TLS certificate not reloaded, the one from before stays: {error}: {cause}"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests;
