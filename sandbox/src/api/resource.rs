//! The bank's things as JSON:API resources.

use reqwest::Url;
use serde_json::{Value, json};

use crate::bank::category::{CATEGORIES, Category};
use crate::bank::{Account, Attachment, EventType, Hold, Money, Transaction, category};
use crate::clock::rfc3339;
use crate::webhooks::{LogEntry, Webhook};

/// How long the link to an attachment's file is promised to work.
const FILE_LINK_MS: i64 = 15 * 60 * 1000;
/// The card of every purchase.
const CARD_SUFFIX: &str = "4217";

/// Writes resources with links below one address.
#[derive(Debug, Clone)]
pub struct Resources {
    origin: String,
}

impl Resources {
    /// Links start with `origin`, such as `http://127.0.0.1:8100`.
    pub fn new(origin: &str) -> Self {
        Self { origin: origin.trim_end_matches('/').to_owned() }
    }

    /// The address of a path below the API's root.
    pub fn link(&self, path: &str) -> String {
        format!("{}{}{path}", self.origin, super::ROOT)
    }

    fn filtered(&self, path: &str, filter: &str, value: &str) -> String {
        let link = self.link(path);
        Url::parse_with_params(&link, [(filter, value)]).map_or(link, Into::into)
    }

    /// `{"data": {type, id}, "links": {"related"}}`, or `{"data": null}` without an id.
    fn related(&self, kind: &str, id: Option<&str>) -> Value {
        match id {
            None => json!({ "data": null }),
            Some(id) => json!({
                "data": { "type": kind, "id": id },
                "links": { "related": self.link(&format!("/{kind}/{id}")) },
            }),
        }
    }

    /// An account.
    pub fn account(&self, account: &Account) -> Value {
        let link = self.link(&format!("/accounts/{}", account.id));
        json!({
            "type": "accounts",
            "id": account.id,
            "attributes": {
                "displayName": account.name,
                "accountType": account.kind,
                "ownershipType": account.ownership,
                "balance": money(&Money::aud(account.balance)),
                "createdAt": rfc3339(account.created_at),
            },
            "relationships": { "transactions": { "links": { "related": format!("{link}/transactions") } } },
            "links": { "self": link },
        })
    }

    /// A transaction.
    pub fn transaction(&self, transaction: &Transaction) -> Value {
        let link = self.link(&format!("/transactions/{}", transaction.id));
        let mut category = self.related("categories", transaction.category.as_deref());
        category["links"]["self"] = json!(format!("{link}/relationships/category"));
        let parent =
            transaction.category.as_deref().and_then(category::find).and_then(|own| own.parent);
        let tags: Vec<_> =
            transaction.tags.iter().map(|tag| json!({ "type": "tags", "id": tag })).collect();
        json!({
            "type": "transactions",
            "id": transaction.id,
            "attributes": attributes(transaction),
            "relationships": {
                "account": self.related("accounts", Some(&transaction.account)),
                "transferAccount": self.related("accounts", transaction.transfer_account.as_deref()),
                "category": category,
                "parentCategory": self.related("categories", parent),
                "tags": { "data": tags, "links": { "self": format!("{link}/relationships/tags") } },
                "attachment": self.related("attachments", transaction.attachment.as_deref()),
            },
            "links": { "self": link },
        })
    }

    /// A category with its parent and children.
    pub fn category(&self, category: &Category) -> Value {
        let children: Vec<_> = CATEGORIES
            .iter()
            .filter(|child| child.parent == Some(category.id))
            .map(|child| json!({ "type": "categories", "id": child.id }))
            .collect();
        let related = self.filtered("/categories", "filter[parent]", category.id);
        json!({
            "type": "categories",
            "id": category.id,
            "attributes": { "name": category.name },
            "relationships": {
                "parent": self.related("categories", category.parent),
                "children": { "data": children, "links": { "related": related } },
            },
            "links": { "self": self.link(&format!("/categories/{}", category.id)) },
        })
    }

    /// A tag.
    pub fn tag(&self, label: &str) -> Value {
        let related = self.filtered("/transactions", "filter[tag]", label);
        json!({
            "type": "tags",
            "id": label,
            "relationships": { "transactions": { "links": { "related": related } } },
        })
    }

    /// An attachment, with a link to its file that is promised from `now` on for a while.
    pub fn attachment(&self, attachment: &Attachment, now: i64) -> Value {
        let file = format!("{}{}/files/{}", self.origin, crate::control::ROOT, attachment.id);
        json!({
            "type": "attachments",
            "id": attachment.id,
            "attributes": {
                "createdAt": rfc3339(attachment.created_at),
                "fileURL": file,
                "fileURLExpiresAt": rfc3339(now.saturating_add(FILE_LINK_MS)),
                "fileExtension": "json",
                "fileContentType": "application/json",
            },
            "relationships": {
                "transaction": self.related("transactions", Some(&attachment.transaction)),
            },
            "links": { "self": self.link(&format!("/attachments/{}", attachment.id)) },
        })
    }

    /// A webhook, without its secret.
    pub fn webhook(&self, webhook: &Webhook) -> Value {
        let link = self.link(&format!("/webhooks/{}", webhook.id));
        json!({
            "type": "webhooks",
            "id": webhook.id,
            "attributes": {
                "url": webhook.url,
                "description": webhook.description,
                "createdAt": rfc3339(webhook.created_at),
            },
            "relationships": { "logs": { "links": { "related": format!("{link}/logs") } } },
            "links": { "self": link },
        })
    }

    /// A webhook event: the document a webhook's URL receives. A deleted transaction has no link,
    /// since there is nothing to get any more.
    pub fn event(
        &self,
        id: &str,
        kind: EventType,
        webhook: &str,
        transaction: Option<&str>,
        at: i64,
    ) -> Value {
        let mut relationships = json!({ "webhook": self.related("webhooks", Some(webhook)) });
        if let Some(transaction) = transaction {
            relationships["transaction"] = match kind {
                EventType::TransactionDeleted => {
                    json!({ "data": { "type": "transactions", "id": transaction } })
                }
                _ => self.related("transactions", Some(transaction)),
            };
        }
        json!({ "data": {
            "type": "webhook-events",
            "id": id,
            "attributes": { "eventType": kind, "createdAt": rfc3339(at) },
            "relationships": relationships,
        } })
    }

    /// One attempt to deliver an event.
    pub fn log_entry(entry: &LogEntry) -> Value {
        let response = entry
            .response
            .as_ref()
            .map(|response| json!({ "statusCode": response.status, "body": response.body }));
        json!({
            "type": "webhook-delivery-logs",
            "id": entry.id,
            "attributes": {
                "request": { "body": &*entry.body },
                "response": response,
                "deliveryStatus": entry.status,
                "createdAt": rfc3339(entry.created_at),
            },
            "relationships": {
                "webhookEvent": { "data": { "type": "webhook-events", "id": entry.event } },
            },
        })
    }
}

fn money(money: &Money) -> Value {
    json!({
        "currencyCode": money.currency,
        "value": money.decimal(),
        "valueInBaseUnits": money.base_units,
    })
}

fn attributes(transaction: &Transaction) -> Value {
    let hold = |hold: &Hold| {
        json!({
            "amount": money(&Money::aud(hold.amount)),
            "foreignAmount": hold.foreign.as_ref().map(money),
        })
    };
    let round_up = |amount| json!({ "amount": money(&Money::aud(amount)), "boostPortion": null });
    let card = |method| json!({ "method": method, "cardNumberSuffix": CARD_SUFFIX });
    json!({
        "status": transaction.status,
        "rawText": transaction.raw_text,
        "description": transaction.description,
        "message": transaction.message,
        "isCategorizable": transaction.is_categorizable(),
        "holdInfo": transaction.hold.as_ref().map(hold),
        "roundUp": transaction.round_up.map(round_up),
        "cashback": null,
        "amount": money(&Money::aud(transaction.amount)),
        "foreignAmount": transaction.foreign.as_ref().map(money),
        "cardPurchaseMethod": transaction.card.map(card),
        "settledAt": transaction.settled_at.map(rfc3339),
        "createdAt": rfc3339(transaction.created_at),
        "transactionType": transaction.method,
        "note": transaction.note.as_ref().map(|text| json!({ "text": text })),
        "performingCustomer": { "displayName": "Robin" },
    })
}
