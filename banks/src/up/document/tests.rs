use serde_json::{Value, json};

use super::{One, Refusal, SHOWN_MAX, TransactionResource, refusal};
use crate::resource::{Money, Transaction};

fn money(amount: i64, currency: &str) -> Value {
    json!({ "currencyCode": currency, "value": "not read", "valueInBaseUnits": amount })
}

fn purchase() -> Value {
    json!({ "data": {
        "type": "transactions",
        "id": "tx-1",
        "attributes": {
            "status": "SETTLED",
            "rawText": "NASI GORENG, BALI",
            "description": "Nasi Goreng",
            "message": null,
            "isCategorizable": true,
            "holdInfo": { "amount": money(-10_700, "AUD"), "foreignAmount": null },
            "roundUp": { "amount": money(-8, "AUD"), "boostPortion": null },
            "amount": money(-10_792, "AUD"),
            "foreignAmount": money(-105_369_877, "IDR"),
            "settledAt": "2026-03-01T04:00:00+11:00",
            "createdAt": "2026-02-28T17:00:00Z",
            "aFieldOfTomorrow": { "deep": [1, 2.5] }
        },
        "relationships": {
            "account": { "data": { "type": "accounts", "id": "acc-1" } },
            "transferAccount": { "data": null },
            "category": { "data": { "type": "categories", "id": "restaurants" } }
        }
    }})
}

fn read(document: &Value) -> Result<Transaction, serde_json::Error> {
    let one: One<TransactionResource> = serde_json::from_value(document.clone())?;
    Ok(one.data.into())
}

#[test]
fn a_transaction_is_read_in_base_units_and_utc() {
    let found = read(&purchase()).unwrap();
    let aud = |amount| Some(Money { amount, currency: "AUD".to_owned() });
    assert_eq!(
        found,
        Transaction {
            id: "tx-1".to_owned(),
            account_id: "acc-1".to_owned(),
            status: "SETTLED".to_owned(),
            amount: Money { amount: -10_792, currency: "AUD".to_owned() },
            held_amount: aud(-10_700),
            foreign_amount: Some(Money { amount: -105_369_877, currency: "IDR".to_owned() }),
            round_up: aud(-8),
            description: "Nasi Goreng".to_owned(),
            raw_text: Some("NASI GORENG, BALI".to_owned()),
            message: None,
            category: Some("restaurants".to_owned()),
            transfer_account_id: None,
            // 2026-02-28T17:00:00Z, written once as UTC and once with Sydney's offset.
            created_at: 1_772_298_000_000,
            settled_at: Some(1_772_298_000_000),
        }
    );
}

#[track_caller]
fn check(pointer: &str, value: Value, expect: Option<fn(&Transaction) -> bool>) {
    let mut document = purchase();
    *document.pointer_mut(pointer).unwrap() = value;
    match (read(&document), expect) {
        (Ok(found), Some(holds)) => assert!(holds(&found), "{found:?}"),
        (Err(_), None) => {}
        (found, _) => panic!("{pointer}: {found:?}"),
    }
}

#[test]
fn unknown_variants_survive_and_broken_money_is_refused() {
    check("/data/attributes/status", json!("PONDERED"), Some(|found| found.status == "PONDERED"));
    check("/data/attributes/holdInfo", Value::Null, Some(|found| found.held_amount.is_none()));
    check("/data/attributes/settledAt", Value::Null, Some(|found| found.settled_at.is_none()));
    let amount = "/data/attributes/amount/valueInBaseUnits";
    check(amount, json!(i64::MIN), Some(|found| found.amount.amount == i64::MIN));
    check(amount, json!(12.0), None);
    check(amount, json!("12"), None);
    check(amount, json!(9_223_372_036_854_775_808_u64), None);
    check("/data/attributes/createdAt", json!("yesterday"), None);
    check("/data/relationships/account", json!({ "data": null }), None);
}

#[test]
fn a_refusal_is_read_and_cut() {
    let long = "x\n".repeat(5_000);
    let body = json!({ "errors": [{ "status": "422", "title": "Invalid", "detail": long }] });
    let Refusal { title, detail } = refusal(body.to_string().as_bytes());
    assert_eq!(title, "Invalid");
    assert_eq!(detail, "x".repeat(SHOWN_MAX));
    for body in ["", "<html>", "{\"errors\":[]}", "{\"errors\":7}"] {
        assert_eq!(refusal(body.as_bytes()).title, "no reason given", "{body}");
    }
}
