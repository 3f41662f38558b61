//! Webhooks of the bank.

use serde_json::{Value, json};
use warp::http::Method;

use super::fixture::client;
use crate::error::BankError;
use crate::testing::{BankServer, Reply};

fn resource(id: &str, secret: Option<&str>) -> Value {
    let mut resource = json!({
        "type": "webhooks",
        "id": id,
        "attributes": {
            "url": "https://example.com/hook",
            "description": null,
            "createdAt": "2026-01-01T00:00:00Z"
        }
    });
    if let Some(secret) = secret {
        resource["attributes"]["secretKey"] = json!(secret);
    }
    resource
}

#[tokio::test]
async fn creating_gives_the_secret_once_and_does_not_print_it() {
    let body = json!({ "data": resource("hook-1", Some("s3cret")) }).to_string();
    let server = BankServer::start([Reply::status(201, body)]).await;
    let created =
        client(&server).create_webhook("https://example.com/hook", Some("mine")).await.unwrap();
    assert_eq!(created.webhook.id, "hook-1");
    assert_eq!(created.secret.reveal(), "s3cret");
    assert!(!format!("{created:?}").contains("s3cret"));
    let seen = server.seen();
    assert_eq!((&seen[0].method, seen[0].target.as_str()), (&Method::POST, "/api/v1/webhooks"));
    let sent: Value = serde_json::from_slice(&seen[0].body).unwrap();
    let attributes = json!({ "url": "https://example.com/hook", "description": "mine" });
    assert_eq!(sent, json!({ "data": { "attributes": attributes } }));
}

#[tokio::test]
async fn a_creation_is_not_repeated() {
    let server = BankServer::start([Reply::status(503, ""), Reply::status(503, "")]).await;
    let found = client(&server).create_webhook("https://example.com/hook", None).await;
    assert!(matches!(found, Err(BankError::Unavailable { attempts: 1, .. })), "{found:?}");
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_ping_gives_the_event_it_will_send() {
    let body = json!({ "data": { "type": "webhook-events", "id": "event-1" } }).to_string();
    let server = BankServer::start([Reply::status(201, body)]).await;
    assert_eq!(client(&server).ping_webhook("hook-1").await.unwrap(), "event-1");
    let seen = server.seen();
    assert_eq!(
        (&seen[0].method, seen[0].target.as_str()),
        (&Method::POST, "/api/v1/webhooks/hook-1/ping")
    );
    assert!(seen[0].body.is_empty());
}

#[tokio::test]
async fn a_deletion_is_repeated_until_it_is_known() {
    let server = BankServer::start([Reply::status(502, ""), Reply::status(204, "")]).await;
    client(&server).delete_webhook("hook-1").await.unwrap();
    let seen = server.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!(
        (&seen[1].method, seen[1].target.as_str()),
        (&Method::DELETE, "/api/v1/webhooks/hook-1")
    );
}

#[tokio::test]
async fn webhooks_are_listed_without_their_secrets() {
    let body = json!({
        "data": [resource("hook-1", None), resource("hook-2", None)],
        "links": { "prev": null, "next": null }
    });
    let server = BankServer::start([Reply::ok(body.to_string())]).await;
    let hooks = client(&server).webhooks().await.unwrap();
    let ids: Vec<_> = hooks.iter().map(|hook| hook.id.as_str()).collect();
    assert_eq!(ids, ["hook-1", "hook-2"]);
}

#[tokio::test]
async fn logs_keep_the_signed_text_and_stop_at_the_count() {
    let log = |id: &str, response: Value| {
        json!({
            "type": "webhook-delivery-logs",
            "id": id,
            "attributes": {
                "request": { "body": "{\"data\": 1}" },
                "response": response,
                "deliveryStatus": "UNDELIVERABLE",
                "createdAt": "2026-01-01T00:00:00Z"
            },
            "relationships": { "webhookEvent": { "data": { "type": "webhook-events", "id": "e" } } }
        })
    };
    let server = BankServer::start([]).await;
    let next = format!("{}/webhooks/hook-1/logs?page=2", server.base);
    let answered = log("l-2", json!({ "statusCode": 500, "body": "no" }));
    let body = json!({
        "data": [log("l-1", Value::Null), answered, log("l-3", Value::Null)],
        "links": { "prev": null, "next": next }
    });
    server.then(Reply::ok(body.to_string()));
    let logs = client(&server).webhook_logs("hook-1", 2).await.unwrap();
    let seen: Vec<_> = logs.iter().map(|log| (log.id.as_str(), log.response_status)).collect();
    assert_eq!(seen, [("l-1", None), ("l-2", Some(500))]);
    assert_eq!(logs[0].request_body, "{\"data\": 1}");
    assert_eq!(logs[0].event_id, "e");
    assert_eq!(server.seen().len(), 1);
}
