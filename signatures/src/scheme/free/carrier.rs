//! `parse`: how the header's value is laid out.

use super::{FreeSchemeError, Names, Pairs, Parse, template};
use crate::scheme::{Algorithm, Carrier, Layout, SignatureEncoding, TimestampForm};

impl Parse {
    pub(super) fn carrier(
        self,
        algorithm: Algorithm,
        encoding: SignatureEncoding,
        form: TimestampForm,
    ) -> Result<Carrier, FreeSchemeError> {
        match self {
            Self::Plain => Ok(Carrier::Plain),
            Self::Jwt => Ok(Carrier::Jwt),
            Self::Prefix(prefix) if prefix.is_empty() => Err(FreeSchemeError::Parse),
            Self::Prefix(prefix) => Ok(Carrier::Prefixed(prefix)),
            Self::Template(text) => Ok(simplest(template::layout(&text, encoding, form)?)),
            Self::Pairs(pairs) => pairs.carrier(),
            Self::Versions(names) => {
                check_names(names.iter())?;
                let versions = names.into_iter().map(|name| (name, algorithm));
                Ok(Carrier::Versions(versions.collect()))
            }
        }
    }
}

/// One carrier for each layout, however it is written down.
fn simplest(layout: Layout) -> Carrier {
    match layout {
        Layout { prefix, time_end: None, between: None } if prefix.is_empty() => Carrier::Plain,
        Layout { prefix, time_end: None, between: None } => Carrier::Prefixed(prefix),
        layout => Carrier::Layout(layout),
    }
}

impl Pairs {
    fn carrier(self) -> Result<Carrier, FreeSchemeError> {
        let Self { timestamp, signature } = self;
        let signatures = match signature {
            Names::One(name) => vec![name],
            Names::Several(names) => names,
        };
        if signatures.is_empty() {
            return Err(FreeSchemeError::Parse);
        }
        check_names(timestamp.iter().chain(&signatures))?;
        Ok(Carrier::Pairs { timestamp, signatures })
    }
}

/// Each name must be one that can be found in a header, and stand for one thing.
fn check_names<'a>(names: impl Iterator<Item = &'a String>) -> Result<(), FreeSchemeError> {
    let mut known: Vec<&String> = Vec::new();
    for name in names {
        if name.is_empty() {
            return Err(FreeSchemeError::Parse);
        }
        if known.contains(&name) || name.contains([',', '=', ' ']) {
            return Err(FreeSchemeError::Name(name.clone()));
        }
        known.push(name);
    }
    if known.is_empty() { Err(FreeSchemeError::Parse) } else { Ok(()) }
}
