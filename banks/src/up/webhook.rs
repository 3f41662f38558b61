//! Up's webhooks: who is told about events, and how the deliveries went.

use std::fmt;

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::document::{Identifier, One, Related, instant};
use super::transport::Request;
use super::{RESOURCE_BYTES_MAX, UpClient, shown};
use crate::bank::{Listing, Observed};
use crate::error::BankError;

/// A webhook as the bank lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// The bank's id.
    pub id: String,
    /// Where events are posted to.
    pub url: String,
    /// What its owner wrote about it.
    pub description: Option<String>,
    /// When it was made, milliseconds since the epoch.
    pub created_at: i64,
}

/// The key that signs a webhook's requests. Its `Debug` text does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSecret(String);

impl WebhookSecret {
    /// The key itself, to be stored where only its owner can read it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(..)")
    }
}

/// A new webhook with its key, which the bank never shows again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedWebhook {
    /// The webhook.
    pub webhook: Webhook,
    /// What signs its requests.
    pub secret: WebhookSecret,
}

/// One attempt of the bank to deliver an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryLog {
    /// The bank's id of the attempt.
    pub id: String,
    /// The event; the same through all attempts.
    pub event_id: String,
    /// DELIVERED, UNDELIVERABLE or `BAD_RESPONSE_CODE`; an unknown one is kept as sent.
    pub status: String,
    /// The body that was posted, exactly as it was signed.
    pub request_body: String,
    /// What the receiver answered; none when it could not be reached.
    pub response_status: Option<u16>,
    /// When it was tried, milliseconds since the epoch.
    pub created_at: i64,
}

#[derive(Deserialize)]
struct WebhookResource {
    id: String,
    attributes: WebhookAttributes,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WebhookAttributes {
    url: String,
    description: Option<String>,
    #[serde(deserialize_with = "instant")]
    created_at: i64,
}

/// As the bank answers a creation, the only time it shows the key.
#[derive(Deserialize)]
struct CreatedResource {
    id: String,
    attributes: CreatedAttributes,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CreatedAttributes {
    #[serde(flatten)]
    webhook: WebhookAttributes,
    secret_key: String,
}

#[derive(Deserialize)]
struct LogResource {
    id: String,
    attributes: LogAttributes,
    relationships: LogRelationships,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogAttributes {
    request: LogRequest,
    response: Option<LogResponse>,
    delivery_status: String,
    #[serde(deserialize_with = "instant")]
    created_at: i64,
}

#[derive(Deserialize)]
struct LogRequest {
    body: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogResponse {
    status_code: u16,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogRelationships {
    webhook_event: Related,
}

impl From<WebhookResource> for Webhook {
    fn from(resource: WebhookResource) -> Self {
        let WebhookAttributes { url, description, created_at } = resource.attributes;
        Self { id: resource.id, url, description, created_at }
    }
}

impl From<LogResource> for DeliveryLog {
    fn from(resource: LogResource) -> Self {
        let LogResource { id, attributes, relationships } = resource;
        Self {
            id,
            event_id: relationships.webhook_event.data.id,
            status: attributes.delivery_status,
            request_body: attributes.request.body,
            response_status: attributes.response.map(|response| response.status_code),
            created_at: attributes.created_at,
        }
    }
}

/// The resources of all pages, in their order.
fn items<R>(pages: Vec<Observed<Vec<R>>>) -> impl Iterator<Item = R> {
    pages.into_iter().flat_map(|page| page.value)
}

impl UpClient {
    /// Every webhook of this token, oldest first. The bank keeps at most ten.
    pub async fn webhooks(&self) -> Result<Vec<Webhook>, BankError> {
        let mut listing: Listing<WebhookResource> = Listing::new("webhooks");
        while listing.is_open() {
            let page = self.page(&["webhooks"], listing.cursor(), "webhooks").await?;
            listing.add(page)?;
        }
        Ok(items(listing.pages).map(Webhook::from).collect())
    }

    /// Makes a webhook. Not repeated when the answer is lost, for the bank may have made it: list,
    /// and delete the one whose key nobody has.
    pub async fn create_webhook(
        &self,
        url: &str,
        description: Option<&str>,
    ) -> Result<CreatedWebhook, BankError> {
        let attributes = match description {
            Some(description) => json!({ "url": url, "description": description }),
            None => json!({ "url": url }),
        };
        let body = json!({ "data": { "attributes": attributes } });
        let request = self.change(Method::POST, &["webhooks"], "new webhook", Some(body))?;
        let answer = self.transport.send(&request, self.priority).await?;
        let One { data } = answer.parse::<One<CreatedResource>>(&request.what)?;
        let CreatedResource { id, attributes } = data;
        let webhook = Webhook::from(WebhookResource { id, attributes: attributes.webhook });
        Ok(CreatedWebhook { webhook, secret: WebhookSecret(attributes.secret_key) })
    }

    /// Asks the bank to post a PING to the webhook; gives the event's id. It arrives later.
    pub async fn ping_webhook(&self, id: &str) -> Result<String, BankError> {
        let what = format!("webhook {}", shown(id));
        let request = self.change(Method::POST, &["webhooks", id, "ping"], &what, None)?;
        let answer = self.transport.send(&request, self.priority).await?;
        let One { data } = answer.parse::<One<Identifier>>(&request.what)?;
        Ok(data.id)
    }

    /// The newest `count` delivery attempts of a webhook, newest first. The bank forgets old ones.
    pub async fn webhook_logs(
        &self,
        id: &str,
        count: usize,
    ) -> Result<Vec<DeliveryLog>, BankError> {
        let mut listing: Listing<LogResource> = Listing::new("webhook logs");
        let mut found = 0;
        while listing.is_open() && found < count {
            let segments = ["webhooks", id, "logs"];
            let page = self.page(&segments, listing.cursor(), "webhook logs").await?;
            found += page.observed.value.len();
            listing.add(page)?;
        }
        Ok(items(listing.pages).take(count).map(DeliveryLog::from).collect())
    }

    /// Deletes a webhook; [`BankError::NotFound`] when it is already gone.
    pub async fn delete_webhook(&self, id: &str) -> Result<(), BankError> {
        let what = format!("webhook {}", shown(id));
        let mut request = self.change(Method::DELETE, &["webhooks", id], &what, None)?;
        request.repeatable = true;
        self.transport.send(&request, self.priority).await?;
        Ok(())
    }

    fn change(
        &self,
        method: Method,
        segments: &[&str],
        what: &str,
        body: Option<serde_json::Value>,
    ) -> Result<Request, BankError> {
        let url = self.transport.url(segments)?;
        let limit = RESOURCE_BYTES_MAX;
        Ok(Request { method, url, body, what: what.to_owned(), limit, repeatable: false })
    }
}
