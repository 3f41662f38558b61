//! The shapes of answers, written by hand from the bank's published interface.
//!
//! A template has the members an object must have (a name that ends in `?` may be missing) and no
//! others; a text says what a value is (`text?` may be null); `["each", t]` is a list of `t` and
//! `["or null", t]` may be null.

use jiff::Timestamp;
use serde_json::{Value, json};

fn fits(value: &Value, template: &Value, at: &str) {
    match template {
        Value::String(kind) => scalar(value, kind, at),
        Value::Array(parts) if parts[0] == "each" => {
            let items = value.as_array().unwrap_or_else(|| panic!("{at}: not a list: {value}"));
            for item in items {
                fits(item, &parts[1], &format!("{at}[]"));
            }
        }
        Value::Array(parts) if parts[0] == "or null" => {
            if !value.is_null() {
                fits(value, &parts[1], at);
            }
        }
        Value::Object(members) => {
            let object =
                value.as_object().unwrap_or_else(|| panic!("{at}: not an object: {value}"));
            let name = |member: &str| member.trim_end_matches('?').to_owned();
            for (member, template) in members {
                match object.get(&name(member)) {
                    Some(value) => fits(value, template, &format!("{at}.{member}")),
                    None => assert!(member.ends_with('?'), "{at}.{member} is missing"),
                }
            }
            let known: Vec<_> = members.keys().map(|member| name(member)).collect();
            let unknown = object.keys().find(|key| !known.contains(key));
            assert_eq!(unknown, None, "{at}: unknown member");
        }
        other => panic!("{at}: no such template: {other}"),
    }
}

fn scalar(value: &Value, kind: &str, at: &str) {
    if kind.ends_with('?') && value.is_null() {
        return;
    }
    let good = match kind.trim_end_matches('?') {
        "text" => value.is_string(),
        "bool" => value.is_boolean(),
        "int" => value.is_i64(),
        "null" => value.is_null(),
        "link" => value.as_str().is_some_and(|link| link.starts_with("http://bank/")),
        "time" => value
            .as_str()
            .is_some_and(|time| time.ends_with("+10:00") && time.parse::<Timestamp>().is_ok()),
        kind => value == kind,
    };
    assert!(good, "{at}: expected {kind}, got {value}");
}

fn money() -> Value {
    json!({ "currencyCode": "text", "value": "text", "valueInBaseUnits": "int" })
}

fn money_or_null() -> Value {
    json!(["or null", money()])
}

/// A relationship with an id and a link.
fn to_one(kind: &str) -> Value {
    json!({ "data": { "type": kind, "id": "text" }, "links": { "related": "link" } })
}

/// A relationship that may be empty.
fn to_maybe_one(kind: &str) -> Value {
    json!({
        "data": ["or null", { "type": kind, "id": "text" }],
        "links?": { "related": "link" },
    })
}

fn to_many() -> Value {
    json!({ "links": { "related": "link" } })
}

pub(super) fn check_list(body: &Value) {
    let links = json!({ "prev": "link?", "next": "link?" });
    fits(&body["links"], &links, "links");
}

pub(super) fn check_errors(body: &Value, status: u16) {
    let template = json!({ "errors": ["each", {
        "status": status.to_string(),
        "title": "text",
        "detail": "text",
        "source?": { "parameter?": "text", "pointer?": "text" },
    }] });
    fits(body, &template, "errors");
}

pub(super) fn check_account(account: &Value) {
    let template = json!({
        "type": "accounts",
        "id": "text",
        "attributes": {
            "displayName": "text",
            "accountType": "text",
            "ownershipType": "text",
            "balance": money(),
            "createdAt": "time",
        },
        "relationships": { "transactions": to_many() },
        "links": { "self": "link" },
    });
    fits(account, &template, "account");
}

pub(super) fn check_transaction(transaction: &Value) {
    let own_link = json!({ "self": "link", "related?": "link" });
    let template = json!({
        "type": "transactions",
        "id": "text",
        "attributes": {
            "status": "text",
            "rawText": "text?",
            "description": "text",
            "message": "text?",
            "isCategorizable": "bool",
            "holdInfo": ["or null", { "amount": money(), "foreignAmount": money_or_null() }],
            "roundUp": ["or null", { "amount": money(), "boostPortion": money_or_null() }],
            "cashback": ["or null", { "description": "text", "amount": money() }],
            "amount": money(),
            "foreignAmount": money_or_null(),
            "cardPurchaseMethod":
                ["or null", { "method": "text", "cardNumberSuffix": "text?" }],
            "settledAt": "time?",
            "createdAt": "time",
            "transactionType": "text?",
            "note": ["or null", { "text": "text" }],
            "performingCustomer": ["or null", { "displayName": "text" }],
        },
        "relationships": {
            "account": to_one("accounts"),
            "transferAccount": to_maybe_one("accounts"),
            "category": {
                "data": ["or null", { "type": "categories", "id": "text" }],
                "links": own_link,
            },
            "parentCategory": to_maybe_one("categories"),
            "tags": { "data": ["each", { "type": "tags", "id": "text" }], "links": { "self": "link" } },
            "attachment": to_maybe_one("attachments"),
        },
        "links": { "self": "link" },
    });
    fits(transaction, &template, "transaction");
    let settled = transaction["attributes"]["status"] == "SETTLED";
    assert_eq!(settled, transaction["attributes"]["settledAt"].is_string());
}

pub(super) fn check_category(category: &Value) {
    let template = json!({
        "type": "categories",
        "id": "text",
        "attributes": { "name": "text" },
        "relationships": {
            "parent": to_maybe_one("categories"),
            "children": {
                "data": ["each", { "type": "categories", "id": "text" }],
                "links": { "related": "link" },
            },
        },
        "links": { "self": "link" },
    });
    fits(category, &template, "category");
}

pub(super) fn check_tag(tag: &Value) {
    let template =
        json!({ "type": "tags", "id": "text", "relationships": { "transactions": to_many() } });
    fits(tag, &template, "tag");
}

pub(super) fn check_attachment(attachment: &Value) {
    let template = json!({
        "type": "attachments",
        "id": "text",
        "attributes": {
            "createdAt": "time?",
            "fileURL": "link?",
            "fileURLExpiresAt": "time",
            "fileExtension": "text?",
            "fileContentType": "text?",
        },
        "relationships": { "transaction": to_one("transactions") },
        "links": { "self": "link" },
    });
    fits(attachment, &template, "attachment");
}

pub(super) fn check_webhook(webhook: &Value, with_secret: bool) {
    let mut template = json!({
        "type": "webhooks",
        "id": "text",
        "attributes": { "url": "text", "description": "text?", "createdAt": "time" },
        "relationships": { "logs": to_many() },
        "links": { "self": "link" },
    });
    if with_secret {
        template["attributes"]["secretKey"] = json!("text");
    }
    fits(webhook, &template, "webhook");
}

pub(super) fn check_event(document: &Value) {
    let template = json!({ "data": {
        "type": "webhook-events",
        "id": "text",
        "attributes": { "eventType": "text", "createdAt": "time" },
        "relationships": {
            "webhook": to_one("webhooks"),
            "transaction?": {
                "data": { "type": "transactions", "id": "text" },
                "links?": { "related": "link" },
            },
        },
    } });
    fits(document, &template, "event");
}

pub(super) fn check_log_entry(entry: &Value) {
    let template = json!({
        "type": "webhook-delivery-logs",
        "id": "text",
        "attributes": {
            "request": { "body": "text" },
            "response": ["or null", { "statusCode": "int", "body": "text" }],
            "deliveryStatus": "text",
            "createdAt": "time",
        },
        "relationships": {
            "webhookEvent": { "data": { "type": "webhook-events", "id": "text" } },
        },
    });
    fits(entry, &template, "log entry");
}
