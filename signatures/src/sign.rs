//! The sender's side: makes the headers that [`crate::Verifier`] accepts.

use crate::headers::Header;
use crate::mac::Key;
use crate::scheme::{Carrier, Scheme, SignatureEncoding};
use crate::secret::Secret;

/// Signs `body` as a provider of this scheme does at the time `at` (milliseconds; schemes with a
/// time use its whole seconds) and gives the headers to send.
pub fn sign(scheme: &Scheme, secret: &Secret, body: &[u8], at: i64) -> Vec<Header> {
    let key = Key::new(scheme, secret);
    let timestamp = match scheme.carrier {
        Carrier::Plain => String::new(),
        Carrier::Pairs { .. } => at.div_euclid(1000).to_string(),
    };
    let SignatureEncoding::LowerHex = scheme.signature_encoding;
    let signature = hex::encode(key.sign(&scheme.signed, &timestamp, body));
    let value = match &scheme.carrier {
        Carrier::Plain => signature,
        Carrier::Pairs { timestamp: t, signature: v } => format!("{t}={timestamp},{v}={signature}"),
    };
    vec![Header { name: scheme.header.clone(), value }]
}
