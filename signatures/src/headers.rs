//! The request's headers as the verifier sees them: bytes, looked up by name.

use serde::Serialize;

/// How often a header occurs in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occurrence<'a> {
    /// Not at all.
    Absent,
    /// Once, with this value as received.
    Once(&'a [u8]),
    /// More than once: whoever reads only the first or the last could be shown another value than
    /// the one that was signed, so it is refused.
    Repeated,
}

/// Looks headers up by name; implemented by whatever the caller's server uses.
pub trait Headers {
    /// The header of this name, given in lower case; names are compared without regard to case.
    fn find(&self, name: &str) -> Occurrence<'_>;
}

/// One header by name and value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Header {
    /// Name in lower case.
    pub name: String,
    /// Value as sent.
    pub value: String,
}

/// Finds `name` among pairs of names and values.
fn find_in<'a>(pairs: impl Iterator<Item = (&'a str, &'a [u8])>, name: &str) -> Occurrence<'a> {
    let mut found = pairs.filter(|(given, _)| given.eq_ignore_ascii_case(name));
    match (found.next(), found.next()) {
        (None, _) => Occurrence::Absent,
        (Some((_, value)), None) => Occurrence::Once(value),
        (Some(_), Some(_)) => Occurrence::Repeated,
    }
}

impl Headers for [Header] {
    fn find(&self, name: &str) -> Occurrence<'_> {
        find_in(self.iter().map(|header| (header.name.as_str(), header.value.as_bytes())), name)
    }
}

impl Headers for Vec<Header> {
    fn find(&self, name: &str) -> Occurrence<'_> {
        self.as_slice().find(name)
    }
}

impl Headers for [(String, Vec<u8>)] {
    fn find(&self, name: &str) -> Occurrence<'_> {
        find_in(self.iter().map(|(given, value)| (given.as_str(), value.as_slice())), name)
    }
}

impl Headers for Vec<(String, Vec<u8>)> {
    fn find(&self, name: &str) -> Occurrence<'_> {
        self.as_slice().find(name)
    }
}
