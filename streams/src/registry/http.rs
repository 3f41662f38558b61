//! One request to the registry and its answer.

use std::time::Duration;

use reqwest::{Client, Method, Response, Url};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::RegistryError;

/// Largest answer that is taken: a schema has kilobytes, a list of subjects not much more.
const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How much of the registry's own words an error repeats, in characters.
const MESSAGE_CHARS_MAX: usize = 300;

const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// A request.
pub(super) struct Call<'a> {
    pub(super) method: Method,
    /// Segments below the base; they are escaped.
    pub(super) path: &'a [&'a str],
    pub(super) query: Option<&'static str>,
    /// Completes "the registry refuses to ...".
    pub(super) action: String,
    pub(super) body: Option<Value>,
}

impl<'a> Call<'a> {
    pub(super) fn get(path: &'a [&'a str], action: String) -> Self {
        Self { method: Method::GET, path, query: None, action, body: None }
    }

    pub(super) fn send(method: Method, path: &'a [&'a str], action: String, body: Value) -> Self {
        Self { method, path, query: None, action, body: Some(body) }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Http {
    shown: String,
    base: Url,
    client: Client,
}

impl Http {
    /// None when `base` is not a URL.
    pub(super) fn new(base: &str, timeout: Duration) -> Option<Self> {
        let url = Url::parse(base).ok().filter(|url| !url.cannot_be_a_base())?;
        let client = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(timeout)
            .build()
            .ok()?;
        Some(Self { shown: base.to_owned(), base: url, client })
    }

    /// The base address as given.
    pub(super) fn base(&self) -> &str {
        &self.shown
    }

    /// Makes one request.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        call: Call<'_>,
    ) -> Result<T, RegistryError> {
        let Call { method, path, query, action, body } = call;
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.extend(path);
        }
        url.set_query(query);
        let mut request = self.client.request(method, url).header("accept", CONTENT_TYPE);
        if let Some(body) = body {
            request = request.header("content-type", CONTENT_TYPE).body(body.to_string());
        }
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let answer = self.read(response).await?;
        if !status.is_success() {
            return Err(RegistryError::Refused {
                url: self.shown.clone(),
                action,
                status: status.as_u16(),
                message: message_of(&answer),
            });
        }
        serde_json::from_slice(&answer).map_err(|source| RegistryError::Answer {
            url: self.shown.clone(),
            action,
            source,
        })
    }

    async fn read(&self, mut response: Response) -> Result<Vec<u8>, RegistryError> {
        let mut answer = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            if answer.len() + chunk.len() > ANSWER_BYTES_MAX {
                let reason = format!("its answer has more than {ANSWER_BYTES_MAX} bytes");
                return Err(RegistryError::Unreachable { url: self.shown.clone(), reason });
            }
            answer.extend_from_slice(&chunk);
        }
        Ok(answer)
    }

    fn unreachable(&self, error: &reqwest::Error) -> RegistryError {
        RegistryError::Unreachable { url: self.shown.clone(), reason: reason_of(error) }
    }
}

/// The innermost cause, which is the one a person can act on.
fn reason_of(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

fn message_of(answer: &[u8]) -> String {
    let message = serde_json::from_slice::<Value>(answer)
        .ok()
        .and_then(|answer| answer.get("message")?.as_str().map(str::to_owned))
        .unwrap_or_else(|| String::from_utf8_lossy(answer).into_owned());
    message.chars().take(MESSAGE_CHARS_MAX).collect()
}
