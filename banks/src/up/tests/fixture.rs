//! Documents and a client for a scripted bank.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::secret::Token;
use crate::testing::{BankServer, TestClock};
use crate::up::{RetryPolicy, UpClient, UpConfig};

pub(super) const TOKEN: &str = "up:yeah:tell-nobody";

/// Half past an hour.
pub(super) const NOW: i64 = 500_000 * 3_600_000 + 1_800_000;

pub(super) fn client(server: &BankServer) -> UpClient {
    let retry = RetryPolicy {
        attempts_max: 3,
        base: Duration::from_millis(2),
        cap: Duration::from_secs(2),
    };
    let config = UpConfig::new(&server.base, Token::new(TOKEN).unwrap())
        .unwrap()
        .with_timeout(Duration::from_millis(500))
        .with_retry(retry);
    let http = UpClient::http_client().unwrap();
    UpClient::new(config, http, Arc::new(TestClock::at(NOW)))
}

fn account_resource(id: &str, balance: i64) -> serde_json::Value {
    json!({
        "type": "accounts",
        "id": id,
        "attributes": {
            "displayName": "Spending",
            "accountType": "TRANSACTIONAL",
            "ownershipType": "INDIVIDUAL",
            "balance": { "currencyCode": "AUD", "value": "-", "valueInBaseUnits": balance },
            "createdAt": "2026-01-01T00:00:00+11:00"
        },
        "relationships": { "transactions": { "links": { "related": "https://elsewhere.example" } } }
    })
}

/// Indented, so that a client which writes the document again gives other bytes.
pub(super) fn account(id: &str, balance: i64) -> String {
    format!("{:#}\n", json!({ "data": account_resource(id, balance) }))
}

pub(super) fn accounts(ids: &[&str], next: Option<&str>) -> String {
    let data: Vec<_> = ids.iter().map(|id| account_resource(id, 1)).collect();
    json!({ "data": data, "links": { "prev": null, "next": next } }).to_string()
}

pub(super) fn error(status: u16, title: &str, detail: &str) -> String {
    json!({ "errors": [{ "status": status.to_string(), "title": title, "detail": detail }] })
        .to_string()
}
