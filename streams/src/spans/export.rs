//! Sends spans to a collector, OTLP over HTTP.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{
    ExporterBuildError, SpanExporter, WithExportConfig as _, WithHttpConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;
use warp::http::{Request, Response};

/// How long a collector may take for a batch: longer, and the next ones wait for a dead one.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the last batch may take when the process ends.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// Bytes of an answer that are read: a collector says little.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Why spans cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The endpoint is no address.
    #[error(
        "OTEL_EXPORTER_OTLP_ENDPOINT is `{endpoint}`; expected such as `http://localhost:4318`"
    )]
    Endpoint {
        /// What is given.
        endpoint: String,
        /// Why not.
        source: ExporterBuildError,
    },
    /// There is no client to send with.
    #[error("making an HTTP client for spans")]
    Client(#[from] reqwest::Error),
}

/// What makes the spans of `service` and sends them to the collector at `endpoint` (OTLP over HTTP, such
/// as `http://localhost:4318`) in batches, by tasks of `runtime`, dropping what a full queue has no
/// room for. The SDK's own variables (sampler, batches, resource) apply.
pub fn provider(
    endpoint: &str,
    service: &str,
    runtime: &Handle,
) -> Result<SdkTracerProvider, ExportError> {
    let client = reqwest::Client::builder()
        .timeout(EXPORT_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .build()?;
    let exporter = SpanExporter::builder()
        .with_http()
        .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
        .with_timeout(EXPORT_TIMEOUT)
        .with_http_client(Client { client, runtime: runtime.clone() })
        .build()
        .map_err(|source| ExportError::Endpoint { endpoint: endpoint.to_owned(), source })?;
    let resource = Resource::builder().with_service_name(service.to_owned()).build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}

/// Sends what is not sent yet, for two seconds at most, and ends. Blocks; what cannot be sent is given
/// up.
pub fn shut_down(provider: &SdkTracerProvider) {
    if let Err(error) = provider.shutdown_with_timeout(SHUTDOWN_TIMEOUT) {
        tracing::warn!("the last spans were not sent: {error}");
    }
}

/// The exporter's thread has no runtime; the requests are made on ours.
#[derive(Clone, Debug)]
struct Client {
    client: reqwest::Client,
    runtime: Handle,
}

impl HttpClient for Client {
    fn send_bytes<'a, 'f>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'f>>
    where
        'a: 'f,
        Self: 'f,
    {
        let sent = TaskTracker::new().spawn_on(send(self.client.clone(), request), &self.runtime);
        Box::pin(async move { sent.await? })
    }
}

async fn send(
    client: reqwest::Client,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, HttpError> {
    let mut answer = client.execute(request.try_into()?).await?;
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        let room = ANSWER_BYTES_MAX.saturating_sub(body.len());
        body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
        if body.len() >= ANSWER_BYTES_MAX {
            break;
        }
    }
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = answer.status();
    Ok(response)
}
