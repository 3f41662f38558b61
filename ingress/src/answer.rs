//! What a sender is told.

use bytes::Bytes;
use signatures::Reason;
use warp::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use warp::http::{HeaderValue, Response, StatusCode};

/// Seconds after which a sender may try again when Kafka does not answer. Providers back off by
/// themselves; this only keeps the honest ones from trying at once.
const RETRY_AFTER_S: &str = "5";

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The event is on the topic, for the first time. Holds the provider's success code.
    Received(u16),
    /// The event was on the topic before.
    Replayed(u16),
    /// A canary is on the topic. Holds the provider's success code.
    Canary(u16),
    /// The request is not taken and will not be.
    Rejected(Reason),
    /// The event is not known to be on the topic: send it again.
    Unavailable,
    /// Whether the request's key exists is not known yet: send it again after so many seconds.
    KeyHeld(u64),
    /// The body did not arrive in time or not whole.
    Incomplete,
    /// Too much came from one address or for one source: try again after so many seconds.
    TooMany(u64),
    /// Not without the token.
    Unauthorized,
    /// Not from that address.
    Forbidden,
    /// The request's head contradicts itself, or lacks what it must have.
    Malformed,
    /// Nothing is at this path.
    NotFound,
    /// The path takes another method.
    MethodNotAllowed(&'static str),
    /// Text for a machine or a person who operates us.
    Report(StatusCode, &'static str, String),
}

impl Answer {
    /// The status code.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Received(code) | Self::Replayed(code) | Self::Canary(code) => {
                StatusCode::from_u16(*code).unwrap_or(StatusCode::OK)
            }
            Self::Rejected(Reason::BodyTooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Rejected(_) | Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Unavailable | Self::KeyHeld(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Incomplete => StatusCode::REQUEST_TIMEOUT,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Report(status, _, _) => *status,
        }
    }

    /// The whole response.
    pub fn into_response(self) -> Response<Bytes> {
        let status = self.status();
        let mut kind = "application/json";
        let mut extra = None;
        let body = match self {
            Self::Received(_) => Bytes::from_static(br#"{"status":"received"}"#),
            Self::Replayed(_) => {
                Bytes::from_static(br#"{"status":"received","idempotent_replay":true}"#)
            }
            Self::Canary(_) => Bytes::from_static(br#"{"status":"received","canary":true}"#),
            Self::Rejected(reason) => {
                Bytes::from(format!(r#"{{"error":"rejected","reason":"{reason}"}}"#))
            }
            Self::Unavailable => {
                extra = Some((RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_S)));
                Bytes::from_static(br#"{"error":"unavailable"}"#)
            }
            Self::KeyHeld(seconds) => {
                extra = Some((RETRY_AFTER, HeaderValue::from(seconds)));
                Bytes::from_static(br#"{"error":"unavailable"}"#)
            }
            Self::Incomplete => Bytes::from_static(br#"{"error":"incomplete"}"#),
            Self::TooMany(seconds) => {
                extra = Some((RETRY_AFTER, HeaderValue::from(seconds)));
                Bytes::from_static(br#"{"error":"too-many-requests"}"#)
            }
            Self::Unauthorized => Bytes::from_static(br#"{"error":"unauthorized"}"#),
            Self::Forbidden => Bytes::from_static(br#"{"error":"forbidden"}"#),
            Self::Malformed => Bytes::from_static(br#"{"error":"malformed"}"#),
            Self::NotFound => Bytes::from_static(br#"{"error":"not-found"}"#),
            Self::MethodNotAllowed(allowed) => {
                extra = Some((ALLOW, HeaderValue::from_static(allowed)));
                Bytes::from_static(br#"{"error":"method-not-allowed"}"#)
            }
            Self::Report(_, report_kind, text) => {
                kind = report_kind;
                Bytes::from(text)
            }
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        response.headers_mut().extend(extra);
        response
    }
}
