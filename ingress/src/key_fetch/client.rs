//! Asks a provider for its keys over HTTP.

use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::redirect::Policy;
use reqwest::{ClientBuilder, StatusCode};

/// Bytes of an answer. Sets have some kilobytes, chains of certificates up to ten.
pub(super) const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a whole answer may take: a slow one holds no request longer than its own limit, only the
/// keeper.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// What to ask for.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyRequest {
    /// Where.
    pub url: String,
    /// The bearer token to show, where one is wanted.
    pub token: Option<String>,
    /// The JSON to post; without it the address is just read.
    pub post: Option<String>,
}

impl std::fmt::Debug for KeyRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyRequest").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Why there is no answer. No message holds a token or anything of the answer.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The provider could not be reached, or stopped in the middle.
    #[error("cannot read {url}")]
    Unreachable {
        /// The address.
        url: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// It answered something else than success. A redirect is not followed: the address is pinned.
    #[error("{url} answered {status}; expected 200")]
    Status {
        /// The address.
        url: String,
        /// The status.
        status: StatusCode,
    },
    /// The answer is too long.
    #[error("{url} answered more than {ANSWER_BYTES_MAX} bytes: no keys")]
    TooLarge {
        /// The address.
        url: String,
    },
}

/// Why no client can be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot make the client that fetches keys")]
pub struct ClientError(#[from] reqwest::Error);

/// Gets what is at an address.
pub trait KeyClient: Send + Sync {
    /// The answer's body.
    fn fetch(
        &self,
        request: KeyRequest,
    ) -> impl Future<Output = Result<Vec<u8>, FetchError>> + Send;
}

/// The same over HTTP: no redirects, no connection kept, bounded in time and size.
#[derive(Clone, Debug)]
pub struct HttpKeys(reqwest::Client);

impl HttpKeys {
    /// A client of this machine's network.
    pub fn new() -> Result<Self, ClientError> {
        Self::of(Self::builder(ANSWER_TIMEOUT))
    }

    /// What every such client does and leaves; `timeout` is for a whole answer.
    pub(super) fn builder(timeout: Duration) -> ClientBuilder {
        reqwest::Client::builder()
            .redirect(Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(timeout)
            .pool_max_idle_per_host(0)
    }

    pub(super) fn of(builder: ClientBuilder) -> Result<Self, ClientError> {
        Ok(Self(builder.build()?))
    }
}

impl KeyClient for HttpKeys {
    async fn fetch(&self, request: KeyRequest) -> Result<Vec<u8>, FetchError> {
        let KeyRequest { url, token, post } = request;
        let unreachable = |source: reqwest::Error| FetchError::Unreachable {
            url: url.clone(),
            source: source.without_url(),
        };
        let call = match post {
            None => self.0.get(&url),
            Some(json) => self.0.post(&url).header(CONTENT_TYPE, "application/json").body(json),
        };
        let call = call.header(ACCEPT, "*/*");
        let call = match token {
            None => call,
            Some(token) => call.bearer_auth(token),
        };
        let mut response = call.send().await.map_err(unreachable)?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status { status: response.status(), url });
        }
        let mut answer = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if answer.len().saturating_add(chunk.len()) > ANSWER_BYTES_MAX {
                return Err(FetchError::TooLarge { url });
            }
            answer.extend_from_slice(&chunk);
        }
        Ok(answer)
    }
}
