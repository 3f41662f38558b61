//! The one spelling of bytes in a header, and the spellings of keys.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use crate::scheme::SignatureEncoding;

impl SignatureEncoding {
    /// The bytes of `text`; `None` for any text but the one that [`Self::encode`] gives for them.
    pub(crate) fn decode(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Self::LowerHex => {
                if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
                    return None;
                }
                let mut bytes = vec![0; text.len() / 2];
                hex::decode_to_slice(text, &mut bytes).ok().map(|()| bytes)
            }
            // both engines refuse wrong padding and bits that are left over
            Self::Base64 => STANDARD.decode(text).ok(),
            Self::Base64Url => URL_SAFE_NO_PAD.decode(text).ok(),
        }
    }

    /// The text of `bytes`.
    pub(crate) fn encode(self, bytes: &[u8]) -> String {
        match self {
            Self::LowerHex => hex::encode(bytes),
            Self::Base64 => STANDARD.encode(bytes),
            Self::Base64Url => URL_SAFE_NO_PAD.encode(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_one_spelling() {
        #[track_caller]
        fn check(encoding: SignatureEncoding, text: &str, expect: Option<&[u8]>) {
            assert_eq!(encoding.decode(text).as_deref(), expect, "{text}");
            if let Some(bytes) = expect {
                assert_eq!(encoding.encode(bytes), text);
            }
        }
        check(SignatureEncoding::LowerHex, "00ff", Some(&[0, 255]));
        for text in ["00FF", "0", "0x00", " 00", "00 "] {
            check(SignatureEncoding::LowerHex, text, None);
        }
        check(SignatureEncoding::Base64, "+/8=", Some(&[0xfb, 0xff]));
        for text in ["+/8", "-_8=", "+/9=", "+/8= ", "+/8=\n", "+/8=="] {
            check(SignatureEncoding::Base64, text, None);
        }
        check(SignatureEncoding::Base64Url, "-_8", Some(&[0xfb, 0xff]));
        for text in ["-_8=", "+/8", "-_9"] {
            check(SignatureEncoding::Base64Url, text, None);
        }
    }
}
