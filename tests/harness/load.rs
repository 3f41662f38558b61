//! Signed events straight to the ingress, with the answer of each.
use std::time::Duration;

use reqwest::{Client, StatusCode};
use serde_json::json;
use signatures::{Scheme, Secret};

/// Longer than the ingress may take: every request gets an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);

/// A sender of signed events.
#[derive(Debug, Clone)]
pub struct Load {
    client: Client,
    url: String,
    secret: Secret,
}

impl Load {
    /// Sends to `url`, signed with `secret` as Up signs.
    pub fn new(url: String, secret: Secret) -> anyhow::Result<Self> {
        let client = Client::builder().no_proxy().timeout(ANSWER_TIMEOUT).build()?;
        Ok(Self { client, url, secret })
    }

    /// Sends one new event; gives its id and the answer's status.
    pub async fn send(&self) -> anyhow::Result<(String, StatusCode)> {
        let id = format!("{:032x}", fastrand::u128(..));
        let body = json!({ "data": {
            "type": "webhook-events",
            "id": id,
            "attributes": { "eventType": "PING", "createdAt": "2026-01-02T03:04:05+10:00" },
            "relationships": { "webhook": { "data": { "type": "webhooks", "id": "load" } } },
        } });
        let body = body.to_string().into_bytes();
        let mut request = self.client.post(&self.url).header("content-type", "application/json");
        // The scheme signs no time.
        for header in signatures::sign(&Scheme::up(), &self.secret, &body, 0) {
            request = request.header(header.name, header.value);
        }
        Ok((id, request.body(body).send().await?.status()))
    }
}
