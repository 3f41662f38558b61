//! How keys become bytes.

use std::hash::Hash;

use bytes::Bytes;

/// A record's key: its bytes decide the partition and the order of stores.
pub trait Key: Clone + Eq + Hash + Send + 'static {
    /// The key's bytes.
    fn encode(&self) -> Bytes;
    /// Reads what [`Key::encode`] wrote.
    fn decode(bytes: &Bytes) -> Result<Self, KeyError>;
}

/// A key that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The record has no key but its source is keyed.
    #[error("the record has no key; its source expects one")]
    Missing,
    /// The key is not text.
    #[error("the key is not UTF-8")]
    NotText,
}

impl Key for String {
    fn encode(&self) -> Bytes {
        Bytes::copy_from_slice(self.as_bytes())
    }

    fn decode(bytes: &Bytes) -> Result<Self, KeyError> {
        std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| KeyError::NotText)
    }
}

impl Key for Vec<u8> {
    fn encode(&self) -> Bytes {
        Bytes::copy_from_slice(self)
    }

    fn decode(bytes: &Bytes) -> Result<Self, KeyError> {
        Ok(bytes.to_vec())
    }
}
