//! Whether a certificate is one of the sender's: its chain leads to a root we trust, and it is for the
//! sender's name.

use openssl::error::ErrorStack;
use openssl::stack::Stack;
use openssl::x509::store::{X509Store, X509StoreBuilder};
use openssl::x509::verify::{X509CheckFlags, X509VerifyParam};
use openssl::x509::{X509, X509StoreContext, X509VerifyResult};

/// Certificates of one chain. Real ones have up to four.
const CHAIN_MAX: usize = 8;

/// Why a certificate is not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum CertificateError {
    /// It is no chain in PEM.
    #[error("not a certificate chain in PEM of 1 to {CHAIN_MAX} certificates")]
    Form,
    /// The roots are no certificates in PEM.
    #[error("the configured roots are not certificates in PEM")]
    Roots,
    /// The chain does not lead from the expected name to a root, now.
    #[error("the certificate is not one for `{name}` by a root we trust: {problem}")]
    Untrusted {
        /// The expected name.
        name: String,
        /// What is wrong, as the library says it.
        problem: String,
    },
    /// The library failed.
    #[error("cannot check the certificate")]
    Library(#[from] ErrorStack),
}

/// Checks the chain in `pem`, the sender's own certificate first, at the time `now` (milliseconds)
/// against the roots in PEM, or those of this machine. Gives the sender's certificate alone.
pub(super) fn checked(
    pem: &[u8],
    name: &str,
    roots: Option<&[u8]>,
    now: i64,
) -> Result<Vec<u8>, CertificateError> {
    let chain = X509::stack_from_pem(pem).map_err(|_| CertificateError::Form)?;
    let (Some(own), 1..=CHAIN_MAX) = (chain.first(), chain.len()) else {
        return Err(CertificateError::Form);
    };
    let mut between = Stack::new()?;
    for certificate in chain.iter().skip(1) {
        between.push(certificate.clone())?;
    }
    let store = store(name, roots, now)?;
    let result = X509StoreContext::new()?.init(&store, own, &between, |context| {
        Ok(if context.verify_cert()? { X509VerifyResult::OK } else { context.error() })
    })?;
    if result != X509VerifyResult::OK {
        let problem = result.error_string().to_owned();
        return Err(CertificateError::Untrusted { name: name.to_owned(), problem });
    }
    Ok(own.to_pem()?)
}

fn store(name: &str, roots: Option<&[u8]>, now: i64) -> Result<X509Store, CertificateError> {
    let mut param = X509VerifyParam::new()?;
    param.set_time(now.div_euclid(1000));
    param.set_hostflags(X509CheckFlags::NO_PARTIAL_WILDCARDS);
    param.set_host(name)?;
    let mut store = X509StoreBuilder::new()?;
    match roots {
        None => store.set_default_paths()?,
        Some(pem) => {
            let roots = X509::stack_from_pem(pem).map_err(|_| CertificateError::Roots)?;
            if roots.is_empty() {
                return Err(CertificateError::Roots);
            }
            for root in roots {
                store.add_cert(root)?;
            }
        }
    }
    store.set_param(&param)?;
    Ok(store.build())
}

#[cfg(test)]
mod tests;
