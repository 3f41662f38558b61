//! Verifies and signs webhooks: bytes and a time in, a verdict out.
//!
//! A [`Scheme`] is data: where the signature is, what was signed, with which algorithm, how fresh it
//! must be. One short path of code runs all of them, in both directions: [`Verifier::verify`] and
//! [`Signer::sign`]. Nothing here does I/O or reads a clock; times are milliseconds since the Unix epoch.
//!
//! ```
//! use signatures::{Scheme, Secret, Verifier, sign};
//!
//! let secret = Secret::new("whsec_example")?;
//! let headers = sign(&Scheme::stripe(), &secret, b"{}", 1_767_323_045_000);
//!
//! let verifier = Verifier::new(Scheme::stripe(), vec![("current".into(), secret)])?;
//! let verified = verifier.verify(&headers, b"{}", 1_767_323_046_000)?;
//! assert_eq!(verified.key_id, "current");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![warn(missing_docs)]

mod encoding;
mod explain;
mod headers;
mod key;
mod parse;
mod reason;
mod scheme;
mod secret;
mod sign;
pub mod source;
mod timestamp;
mod verify;

pub use explain::{Expected, Explanation, Found, Hint, NeededHeader, SignedPart, explain};
pub use headers::{Header, Headers, Occurrence};
pub use key::{KeyError, KeySet};
pub use reason::Reason;
pub use scheme::{
    Algorithm, Carrier, Expectation, FreeScheme, FreeSchemeError, Freshness, Integrity,
    KeyEncoding, Layout, ParamError, Part, Scheme, SignatureEncoding, TimestampForm,
};
pub use secret::{Secret, SecretError};
pub use sign::{SignError, Signer, sign};
pub use verify::{SetupError, Verified, Verifier};
