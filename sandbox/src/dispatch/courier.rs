//! Carries the outbox's deliveries to their URLs.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::outbox::{Delivery, Next};
use crate::webhooks::Response;
use crate::world::Shared;

/// Of a receiver's answer, so much goes into the delivery log.
const RESPONSE_BYTES_MAX: usize = 8 * 1024;
const USER_AGENT: &str = "Up Webhook Dispatcher";

/// The HTTP client of the dispatcher: it waits `timeout` for a whole answer, redirects are answers
/// like any other, proxies of the machine are not asked.
pub fn client(timeout: Duration) -> reqwest::Result<Client> {
    Client::builder()
        .user_agent(USER_AGENT)
        .timeout(timeout)
        .redirect(Policy::none())
        .no_proxy()
        .build()
}

/// Delivers until `stop`; requests in flight then are abandoned.
pub async fn run(shared: Arc<Shared>, client: Client, stop: CancellationToken) {
    let requests = TaskTracker::new();
    while !stop.is_cancelled() {
        let next = shared.lock().next_delivery();
        match next {
            Next::Send(delivery) => {
                let (shared, client, stop) = (Arc::clone(&shared), client.clone(), stop.clone());
                requests.spawn(async move {
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = deliver(&shared, &client, delivery) => {}
                    }
                });
            }
            Next::Wait(ms) => tokio::select! {
                () = stop.cancelled() => {}
                () = shared.changed() => {}
                () = tokio::time::sleep(Duration::from_millis(ms)) => {}
            },
            Next::Idle => tokio::select! {
                () = stop.cancelled() => {}
                () = shared.changed() => {}
            },
        }
    }
    requests.close();
    requests.wait().await;
}

async fn deliver(shared: &Shared, client: &Client, delivery: Delivery) {
    let mut request = client
        .post(&delivery.url)
        .header(CONTENT_TYPE, "application/json")
        .body(delivery.body.to_string());
    for (name, value) in &delivery.headers {
        let (name, value) = (HeaderName::try_from(name), HeaderValue::try_from(value));
        if let (Ok(name), Ok(value)) = (name, value) {
            request = request.header(name, value);
        }
    }
    let response = match answer(request).await {
        Ok(response) => Some(response),
        Err(error) => {
            let event = &delivery.event;
            tracing::debug!(%event, error = %error.without_url(), "event was not delivered");
            None
        }
    };
    shared.with(|world| world.delivered(delivery, response));
}

async fn answer(request: RequestBuilder) -> reqwest::Result<Response> {
    let mut response = request.send().await?;
    let status = response.status().as_u16();
    let mut bytes = Vec::new();
    while bytes.len() < RESPONSE_BYTES_MAX
        && let Some(chunk) = response.chunk().await?
    {
        bytes.extend(chunk.iter().take(RESPONSE_BYTES_MAX - bytes.len()));
    }
    Ok(Response { status, body: String::from_utf8_lossy(&bytes).into_owned() })
}
