//! What the bank answers, and how it says no.

use serde_json::{Value, json};

/// An answer of the HTTP API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// JSON document; `None` for 204.
    pub body: Option<Value>,
    /// Requests left in this hour, for the `X-RateLimit-Remaining` header.
    pub remaining: Option<u32>,
}

impl Answer {
    /// 200 with a document.
    pub fn ok(body: Value) -> Self {
        Self { status: 200, body: Some(body), remaining: None }
    }

    /// 201 with the created resource.
    pub fn created(body: Value) -> Self {
        Self { status: 201, body: Some(body), remaining: None }
    }

    /// 204 without a body.
    pub fn no_content() -> Self {
        Self { status: 204, body: None, remaining: None }
    }
}

/// Where in the request the trouble is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Parameter(String),
    Pointer(&'static str),
}

/// A refused request: one JSON:API error object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    status: u16,
    title: &'static str,
    detail: String,
    place: Option<Place>,
}

impl Refusal {
    fn new(status: u16, title: &'static str, detail: impl Into<String>) -> Self {
        Self { status, title, detail: detail.into(), place: None }
    }

    /// 400: the body is not what the route reads.
    pub fn bad_body(detail: impl Into<String>) -> Self {
        Self::new(400, "Bad Request", detail)
    }

    /// 400: a query parameter the route cannot read.
    pub fn bad_parameter(name: &str, detail: impl Into<String>) -> Self {
        let place = Some(Place::Parameter(name.to_owned()));
        Self { place, ..Self::new(400, "Invalid Parameter", detail) }
    }

    /// 401: no token, or not the one the bank knows.
    pub fn not_authorized() -> Self {
        let detail = "The Authorization header holds no bearer token that this bank knows.";
        Self::new(401, "Not Authorized", detail)
    }

    /// 404: nothing there, or not any more.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(404, "Not Found", detail)
    }

    /// 404 that names the query parameter.
    pub fn parameter_not_found(name: &str, detail: impl Into<String>) -> Self {
        let place = Some(Place::Parameter(name.to_owned()));
        Self { place, ..Self::not_found(detail) }
    }

    /// 413: more than the bank reads.
    pub fn too_large(limit: usize) -> Self {
        Self::new(413, "Payload Too Large", format!("A request body has at most {limit} bytes."))
    }

    /// 422: well-formed, but not allowed. `pointer` is an RFC 6901 pointer into the body.
    pub fn invalid(pointer: &'static str, detail: impl Into<String>) -> Self {
        let place = Some(Place::Pointer(pointer));
        Self { place, ..Self::new(422, "Unprocessable Entity", detail) }
    }

    /// 429: the hour's requests are used up.
    pub fn too_many_requests(limit: u32) -> Self {
        let detail = format!("All {limit} requests of this hour are used; this one was not done.");
        Self::new(429, "Too Many Requests", detail)
    }

    /// 500: the fault `api_error_percent`.
    pub fn broken() -> Self {
        Self::new(500, "Internal Server Error", "The bank failed, as its faults ask it to.")
    }

    /// The answer that says so.
    pub fn into_answer(self) -> Answer {
        let mut error = json!({
            "status": self.status.to_string(),
            "title": self.title,
            "detail": self.detail,
        });
        match self.place {
            Some(Place::Parameter(name)) => error["source"] = json!({ "parameter": name }),
            Some(Place::Pointer(pointer)) => error["source"] = json!({ "pointer": pointer }),
            None => {}
        }
        Answer { status: self.status, body: Some(json!({ "errors": [error] })), remaining: None }
    }
}
