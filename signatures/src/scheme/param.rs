//! What an operator sets on a built-in scheme: `mode` of Convoy and the like.

use super::{Algorithm, Part, Scheme, SignatureEncoding};

/// Bytes of a parameter's value: ids and paths are shorter.
const VALUE_BYTES_MAX: usize = 256;

/// Why a parameter cannot be set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParamError {
    /// The scheme has no such parameter.
    #[error("scheme `{scheme}` has no parameter `{name}`; expected {expected}")]
    Unknown {
        /// The scheme.
        scheme: String,
        /// The parameter.
        name: String,
        /// Those it has.
        expected: String,
    },
    /// The value is not one of the parameter's.
    #[error("parameter `{name}` of scheme `{scheme}` is `{value}`; expected {expected}")]
    Value {
        /// The scheme.
        scheme: String,
        /// The parameter.
        name: String,
        /// The value found.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
}

impl Scheme {
    /// The scheme with one of its parameters set.
    ///
    /// ```
    /// use signatures::Scheme;
    /// let advanced = Scheme::convoy().with_param("mode", "advanced")?;
    /// assert_eq!(advanced, Scheme::convoy_advanced());
    /// # Ok::<(), signatures::ParamError>(())
    /// ```
    pub fn with_param(self, name: &str, value: &str) -> Result<Self, ParamError> {
        match (self.name.as_str(), name) {
            ("convoy", "mode") => self.with_mode(value),
            ("convoy", "hash") => match value {
                "SHA256" => Ok(Self { algorithm: Algorithm::HmacSha256, ..self }),
                "SHA512" => Ok(Self { algorithm: Algorithm::HmacSha512, ..self }),
                _ => Err(self.wrong(name, value, "`SHA256` or `SHA512`")),
            },
            ("convoy", "encoding") => match value {
                "hex" => Ok(Self { signature_encoding: SignatureEncoding::LowerHex, ..self }),
                "base64" => Ok(Self { signature_encoding: SignatureEncoding::Base64, ..self }),
                _ => Err(self.wrong(name, value, "`hex` or `base64`")),
            },
            _ => self.with_text(name, value),
        }
    }

    /// Names of the parameters that must be set before the scheme can be used.
    pub fn missing_params(&self) -> impl Iterator<Item = &str> {
        self.signed.iter().filter_map(|part| match part {
            Part::Param(name) => Some(name.as_str()),
            _ => None,
        })
    }

    fn with_mode(self, value: &str) -> Result<Self, ParamError> {
        let of = match value {
            "simple" => Self::convoy(),
            "advanced" => Self::convoy_advanced(),
            _ => return Err(self.wrong("mode", value, "`simple` or `advanced`")),
        };
        let Self { algorithm, signature_encoding, .. } = self;
        Ok(Self { algorithm, signature_encoding, ..of })
    }

    /// Makes a literal of each part that stands for the parameter.
    fn with_text(mut self, name: &str, value: &str) -> Result<Self, ParamError> {
        if !self.missing_params().any(|missing| missing == name) {
            return Err(self.unknown(name));
        }
        let is_visible = value.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_visible || !(1..=VALUE_BYTES_MAX).contains(&value.len()) {
            return Err(self.wrong(name, value, "1 to 256 visible ASCII characters"));
        }
        for part in &mut self.signed {
            if matches!(part, Part::Param(param) if param == name) {
                *part = Part::Literal(value.into());
            }
        }
        Ok(self)
    }

    fn unknown(&self, name: &str) -> ParamError {
        let mut known: Vec<_> = self.missing_params().map(|name| format!("`{name}`")).collect();
        if self.name == "convoy" {
            known.extend(["`mode`", "`hash`", "`encoding`"].map(str::to_owned));
        }
        let expected = if known.is_empty() { "none".to_owned() } else { known.join(" or ") };
        ParamError::Unknown { scheme: self.name.clone(), name: name.into(), expected }
    }

    fn wrong(&self, name: &str, value: &str, expected: &'static str) -> ParamError {
        let (scheme, name, value) = (self.name.clone(), name.into(), value.into());
        ParamError::Value { scheme, name, value, expected }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_convoy_s_parameters_does_not_matter() {
        let one = Scheme::convoy().with_param("hash", "SHA512").unwrap();
        let one = one.with_param("mode", "advanced").unwrap();
        let other = Scheme::convoy().with_param("mode", "advanced").unwrap();
        assert_eq!(one, other.with_param("hash", "SHA512").unwrap());
    }

    #[test]
    fn a_parameter_that_is_not_the_scheme_s_is_refused_with_those_it_has() {
        #[track_caller]
        fn check(name: &str, value: &str, expect: &str) {
            let error = Scheme::convoy().with_param(name, value).unwrap_err().to_string();
            assert!(error.contains(expect), "{error}");
        }
        check("mode", "Advanced", "`simple` or `advanced`");
        check("hash", "md5", "`SHA512`");
        check("colour", "red", "`mode` or `hash`");
        let error = Scheme::up().with_param("mode", "simple").unwrap_err().to_string();
        assert!(error.ends_with("expected none"), "{error}");
    }
}
