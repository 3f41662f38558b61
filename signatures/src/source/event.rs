//! What a verified body is about: the event's id, type, subject and time.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::scan::{Found, scan};
use crate::headers::{Header, Headers, Occurrence};
use crate::parse;

/// Bytes of an id or a type. Providers' ids are some 40; they become keys and labels of records.
const FIELD_BYTES_MAX: usize = 256;

/// Where a source's requests hold what we need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventShape {
    /// The event's id, the same in every retry.
    pub id: Place,
    /// The event's type.
    pub kind: Place,
    /// Id of what the event is about; may be absent.
    pub subject: Place,
    /// When it happened; may be absent.
    pub time: Place,
    /// How that time is written.
    pub time_form: TimeForm,
}

/// Where a value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the body, at this JSON pointer (RFC 6901). An id that is a whole number is read as its
    /// digits.
    Pointer(Cow<'static, str>),
    /// In the header of this name, in lower case.
    Header(Cow<'static, str>),
    /// The SHA-256 of the header of this name, in lower-case hex.
    HeaderSha256(Cow<'static, str>),
    /// The SHA-256 of what is signed of the token in this header, in lower-case hex: for a provider
    /// that gives its events no id, and signs each try anew. Not of the signature: of one there can
    /// be several that are right, and anybody can make the others.
    TokenSha256(Cow<'static, str>),
    /// A hash of what is signed of the items in the body (Adyen), in lower-case hex, whatever their
    /// order and however often they are there.
    ItemsSha256,
    /// The SHA-256 of the body, in lower-case hex: for bodies that hold ids of several events.
    BodySha256,
    /// The same for every event.
    Fixed(Cow<'static, str>),
    /// At the pointer when there is text, or else the second: for a type that may be absent.
    PointerOr(Cow<'static, str>, Cow<'static, str>),
    /// Nowhere.
    Nowhere,
}

impl Place {
    /// A place in the body.
    pub(crate) const fn pointer(pointer: &'static str) -> Self {
        Self::Pointer(Cow::Borrowed(pointer))
    }

    /// A place in a header.
    pub(crate) const fn header(name: &'static str) -> Self {
        Self::Header(Cow::Borrowed(name))
    }

    /// Reads `/json/pointer`, `header:NAME`, `header-sha256:NAME`, `token-sha256:NAME`,
    /// `items-sha256`, `body-sha256` or `fixed:TEXT`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let name = |name: &str| {
            let is_name = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
            let fits = !name.is_empty() && name.bytes().all(is_name);
            fits.then(|| Cow::Owned(name.to_ascii_lowercase()))
        };
        if text.starts_with('/') {
            return Some(Self::Pointer(Cow::Owned(text.into())));
        }
        match text.split_once(':') {
            None if text == "body-sha256" => Some(Self::BodySha256),
            None if text == "items-sha256" => Some(Self::ItemsSha256),
            Some(("header", header)) => name(header).map(Self::Header),
            Some(("header-sha256", header)) => name(header).map(Self::HeaderSha256),
            Some(("token-sha256", header)) => name(header).map(Self::TokenSha256),
            Some(("fixed", fixed)) if is_text(fixed) => Some(Self::Fixed(Cow::Owned(fixed.into()))),
            _ => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pointer(pointer) | Self::PointerOr(pointer, _) => f.write_str(pointer),
            Self::Header(name) | Self::HeaderSha256(name) | Self::TokenSha256(name) => {
                write!(f, "header {name}")
            }
            Self::BodySha256 => f.write_str("body"),
            Self::ItemsSha256 => f.write_str("items"),
            Self::Fixed(text) => f.write_str(text),
            Self::Nowhere => f.write_str("nowhere"),
        }
    }
}

/// How a body writes a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimeForm {
    /// RFC 3339 text with an offset.
    #[default]
    Rfc3339,
    /// Whole seconds since the Unix epoch, a number.
    UnixSeconds,
}

/// What an event's body says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The provider's id, constant across its retries.
    pub id: String,
    /// The provider's name of the event.
    pub kind: String,
    /// Id of what it is about; `None` for a ping.
    pub subject: Option<String>,
    /// When it happened, in milliseconds; `None` when absent or not readable: a body that is
    /// genuine is not refused for its clock.
    pub occurred_at: Option<i64>,
}

/// Why a genuine body is not an event of its source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPayload {
    /// Not JSON, or nested deeper than 128.
    #[error("the body is not JSON")]
    NotJson,
    /// A field that must be there is not, or is not text of 1 to 256 printable bytes.
    #[error("`{0}` is not a text of 1 to 256 printable bytes")]
    Field(String),
}

impl EventShape {
    /// Reads the event of a verified request from its body alone.
    pub fn read(&self, body: &[u8]) -> Result<Event, InvalidPayload> {
        self.read_from(&[] as &[Header], body)
    }

    /// Reads the event of a verified request. A body that is not JSON is one all the same where its id
    /// and its type have their places elsewhere: GitHub sends forms to who asks for them.
    pub fn read_from(
        &self,
        headers: &(impl Headers + ?Sized),
        body: &[u8],
    ) -> Result<Event, InvalidPayload> {
        let request = Request { headers, body, found: self.find(body) };
        let needed = |field: usize, place: &Place| match (request.text(field, place)?, place) {
            (Some(text), _) => Ok(text),
            (None, Place::Pointer(_)) if request.found.is_none() => Err(InvalidPayload::NotJson),
            (None, _) => Err(InvalidPayload::Field(place.to_string())),
        };
        Ok(Event {
            id: needed(ID, &self.id)?,
            kind: needed(KIND, &self.kind)?,
            subject: request.text(SUBJECT, &self.subject)?,
            occurred_at: request.time(&self.time, self.time_form),
        })
    }

    /// What the body has at the places in it; `None` where it is no JSON and one of them is there.
    fn find<'b>(&self, body: &'b [u8]) -> Option<[Option<Found<'b>>; FIELDS]> {
        let places = [&self.id, &self.kind, &self.subject, &self.time];
        let pointers = places.map(|place| match place {
            Place::Pointer(pointer) | Place::PointerOr(pointer, _) => Some(pointer.as_ref()),
            _ => None,
        });
        if pointers.iter().all(Option::is_none) {
            return Some([const { None }; FIELDS]);
        }
        scan(body, pointers)
    }
}

/// What an event has places for, as [`EventShape::find`] numbers them.
const FIELDS: usize = 4;
const ID: usize = 0;
const KIND: usize = 1;
const SUBJECT: usize = 2;
const TIME: usize = 3;

struct Request<'a, H: ?Sized> {
    headers: &'a H,
    body: &'a [u8],
    found: Option<[Option<Found<'a>>; FIELDS]>,
}

impl<H: Headers + ?Sized> Request<'_, H> {
    /// The text of a field, which has its place there; `None` where nothing is.
    fn text(&self, field: usize, place: &Place) -> Result<Option<String>, InvalidPayload> {
        let found = match place {
            Place::Pointer(_) => match self.at(field) {
                None | Some(Found::Null) => return Ok(None),
                Some(Found::Text(text)) => Some(text.clone().into_owned()),
                Some(Found::Whole(number)) => Some(number.to_string()),
                Some(Found::Other) => None,
            },
            Place::PointerOr(_, other) => match self.at(field) {
                Some(Found::Text(text)) => Some(text.clone().into_owned()),
                _ => Some(other.clone().into_owned()),
            },
            Place::Header(name) => match self.header(name) {
                None => return Ok(None),
                Some(value) => std::str::from_utf8(value).ok().map(str::to_owned),
            },
            Place::HeaderSha256(name) => match self.header(name) {
                None => return Ok(None),
                Some(value) => Some(hex::encode(Sha256::digest(value))),
            },
            Place::TokenSha256(name) => match self.header(name) {
                None => return Ok(None),
                Some(value) => parse::token_signed(value).map(|it| hex::encode(Sha256::digest(it))),
            },
            Place::ItemsSha256 => parse::items_sha256(self.body),
            Place::BodySha256 => Some(hex::encode(Sha256::digest(self.body))),
            Place::Fixed(text) => Some(text.clone().into_owned()),
            Place::Nowhere => return Ok(None),
        };
        found
            .filter(|text| is_text(text))
            .map(Some)
            .ok_or_else(|| InvalidPayload::Field(place.to_string()))
    }

    fn at(&self, field: usize) -> Option<&Found<'_>> {
        self.found.as_ref()?.get(field)?.as_ref()
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        match self.headers.find(name) {
            Occurrence::Once(value) => Some(value),
            Occurrence::Absent | Occurrence::Repeated => None,
        }
    }

    fn time(&self, place: &Place, form: TimeForm) -> Option<i64> {
        match place {
            Place::Pointer(_) => form.read(self.at(TIME)?),
            Place::Header(name) => {
                let text = std::str::from_utf8(self.header(name)?).ok()?;
                form.read(&Found::Text(Cow::Borrowed(text)))
            }
            _ => None,
        }
    }
}

fn is_text(text: &str) -> bool {
    (1..=FIELD_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control)
}

impl TimeForm {
    fn read(self, value: &Found<'_>) -> Option<i64> {
        match (self, value) {
            (Self::Rfc3339, Found::Text(text)) => {
                let time: jiff::Timestamp = text.parse().ok()?;
                Some(time.as_millisecond())
            }
            (Self::UnixSeconds, Found::Whole(seconds)) => seconds.checked_mul(1000),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Preset;

    #[test]
    fn an_up_event_is_read_from_its_places() {
        let body = br#"{"data":{"type":"webhook-events","id":"e-1","attributes":{
            "eventType":"TRANSACTION_CREATED","createdAt":"2026-01-02T14:04:05+11:00"},
            "relationships":{"transaction":{"data":{"type":"transactions","id":"t-1"}}}}}"#;
        let event = Preset::Up.event_shape().unwrap().read(body).unwrap();
        assert_eq!(
            event,
            Event {
                id: "e-1".into(),
                kind: "TRANSACTION_CREATED".into(),
                subject: Some("t-1".into()),
                occurred_at: Some(1_767_323_045_000),
            }
        );
    }

    #[test]
    fn a_body_that_is_no_json_is_an_event_where_its_id_and_type_are_elsewhere() {
        let header = |name: &str, value: &str| Header { name: name.into(), value: value.into() };
        let headers = [header("X-GitHub-Delivery", "d-1"), header("X-GitHub-Event", "push")];
        let read =
            |body: &[u8]| Preset::Github.event_shape().unwrap().read_from(&headers[..], body);
        for body in [&b"payload=%7B%7D"[..], b"", b"\xff\x00", b"{", b"{}"] {
            let event = read(body).unwrap();
            assert_eq!((event.id.as_str(), event.kind.as_str()), ("d-1", "push"));
            assert_eq!((event.subject, event.occurred_at), (None, None));
        }
        let json = read(br#"{"repository":{"full_name":"a/b"}}"#).unwrap();
        assert_eq!(json.subject.as_deref(), Some("a/b"));
        // without its id it is none, whatever the body
        let none = Preset::Github.event_shape().unwrap().read(b"payload=%7B%7D");
        assert_eq!(none, Err(field("header x-github-delivery")));
    }

    #[test]
    fn a_ping_has_no_subject() {
        let body = br#"{"data":{"id":"e-2","attributes":{"eventType":"PING"},"relationships":{}}}"#;
        let event = Preset::Up.event_shape().unwrap().read(body).unwrap();
        assert_eq!((event.subject, event.occurred_at), (None, None));
    }

    #[test]
    fn a_stripe_event_is_read_from_its_places() {
        let body = br#"{"id":"evt_1","type":"charge.succeeded","created":1767323045,
            "data":{"object":{"id":"ch_1"}}}"#;
        let event = Preset::Stripe.event_shape().unwrap().read(body).unwrap();
        assert_eq!(event.subject.as_deref(), Some("ch_1"));
        assert_eq!(event.occurred_at, Some(1_767_323_045_000));
    }

    fn field(place: &str) -> InvalidPayload {
        InvalidPayload::Field(place.into())
    }

    #[test]
    fn a_body_without_a_usable_id_or_type_is_invalid() {
        #[track_caller]
        fn check(body: &str, expect: InvalidPayload) {
            let read = Preset::Stripe.event_shape().unwrap().read(body.as_bytes());
            assert_eq!(read, Err(expect), "{body}");
        }
        check("", InvalidPayload::NotJson);
        check("{", InvalidPayload::NotJson);
        check("{} {}", InvalidPayload::NotJson);
        check(&"[".repeat(100_000), InvalidPayload::NotJson);
        check("[]", field("/id"));
        check(r#"{"id":7.5,"type":"a"}"#, field("/id"));
        check(r#"{"id":"","type":"a"}"#, field("/id"));
        check(r#"{"id":"a\u0000b","type":"a"}"#, field("/id"));
        check(r#"{"id":"a"}"#, field("/type"));
        let long = format!(r#"{{"id":"{}","type":"a"}}"#, "x".repeat(257));
        check(&long, field("/id"));
        let subject = r#"{"id":"a","type":"b","data":{"object":{"id":[1]}}}"#;
        check(subject, field("/data/object/id"));
    }
}
