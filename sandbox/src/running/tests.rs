//! The sandbox as its clients meet it: over sockets.

mod rig;

use std::collections::{HashMap, HashSet};

use reqwest::Method;
use serde_json::{Value, json};
use signatures::{Scheme, Secret, Verifier};

use self::rig::{Bank, Received, Receiver, TOKEN, verifier};
use crate::Config;
use crate::faults::Faults;

#[tokio::test]
async fn an_event_arrives_signed_and_the_log_keeps_its_exact_body() {
    let receiver = Receiver::start(&[]).await;
    let bank = Bank::start(Bank::quick()).await;
    let (webhook, secret) = bank.register(&receiver.url()).await;
    let id = bank.purchase("clean").await;
    bank.quiet().await;

    let received = &receiver.received()[0];
    assert_eq!(received.header("user-agent"), Some("Up Webhook Dispatcher"));
    verifier(&secret).verify(&received.headers, &received.body, 0).unwrap();
    let body: Value = serde_json::from_slice(&received.body).unwrap();
    let transaction = &body["data"]["relationships"]["transaction"];
    assert_eq!(transaction["data"]["id"], json!(id));
    let link = transaction["links"]["related"].as_str().unwrap();
    assert_eq!(bank.get(link).await["data"]["attributes"]["amount"]["valueInBaseUnits"], -1_250);

    let logs = bank.get(&format!("/api/v1/webhooks/{webhook}/logs")).await;
    let entry = &logs["data"][0];
    let logged = entry["attributes"]["request"]["body"].as_str().unwrap();
    assert_eq!(logged.as_bytes(), received.body);
    assert_eq!(entry["attributes"]["response"]["body"], "answered 200");
    assert_eq!(entry["relationships"]["webhookEvent"]["data"]["id"], json!(received.event()));
}

#[tokio::test]
async fn only_exactly_200_ends_the_attempts_and_redirects_are_not_followed() {
    let receiver = Receiver::start(&[201, 302, 500]).await;
    let bank = Bank::start(Bank::quick()).await;
    let (webhook, _) = bank.register(&receiver.url()).await;
    bank.purchase("clean").await;
    let state = bank.quiet().await;

    let bad = |code: u16| ("BAD_RESPONSE_CODE".to_owned(), json!(code));
    let expect = [bad(201), bad(302), bad(500), ("DELIVERED".to_owned(), json!(200))];
    assert_eq!(bank.log(&webhook).await, expect);
    let events: HashSet<_> = receiver.received().iter().map(Received::event).collect();
    assert_eq!((events.len(), receiver.received().len()), (1, 4));
    assert_eq!((&state["counts"]["failed"], &state["counts"]["delivered"]), (&json!(3), &json!(1)));
}

#[tokio::test]
async fn a_receiver_that_is_away_is_undeliverable_until_given_up() {
    let closed = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let bank = Bank::start(Bank::quick()).await;
    let (webhook, _) = bank.register(&format!("http://{closed}/")).await;
    bank.purchase("clean").await;
    let state = bank.quiet().await;
    assert_eq!(bank.log(&webhook).await, vec![("UNDELIVERABLE".to_owned(), Value::Null); 4]);
    assert_eq!(state["counts"]["given_up"], 1);
    assert_eq!(bank.get("/sandbox/v1/events").await["events"][0]["fate"], "given-up");
}

#[tokio::test]
async fn a_receiver_that_does_not_answer_in_time_is_undeliverable() {
    // It takes the connection and never says a word.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = Config { delivery_timeout_ms: 40, retry_attempts: 1, ..Bank::quick() };
    let bank = Bank::start(config).await;
    let (webhook, _) = bank.register(&format!("http://{}/", silent.local_addr().unwrap())).await;
    bank.purchase("clean").await;
    bank.quiet().await;
    assert_eq!(bank.log(&webhook).await, [("UNDELIVERABLE".to_owned(), Value::Null)]);
}

#[tokio::test]
async fn deliveries_to_a_deleted_webhook_are_dropped() {
    let receiver = Receiver::start(&[]).await;
    let faults = Faults { late_ms: 200, ..Faults::default() };
    let bank = Bank::start(Config { faults, ..Bank::quick() }).await;
    let (webhook, _) = bank.register(&receiver.url()).await;
    bank.purchase("late").await;
    bank.call(Method::DELETE, &format!("/api/v1/webhooks/{webhook}"), Value::Null).await;
    let state = bank.quiet().await;
    assert_eq!(state["counts"]["cancelled"], 1);
    assert!(receiver.received().is_empty());
}

#[tokio::test]
async fn courses_lose_repeat_and_forge_and_the_truth_says_so() {
    let receiver = Receiver::start(&[]).await;
    let bank = Bank::start(Bank::quick()).await;
    let (_, secret) = bank.register(&receiver.url()).await;
    receiver.script.lock().unwrap().verifier = Some(verifier(&secret));
    let lost = bank.purchase("lost").await;
    bank.purchase("duplicate").await;
    bank.purchase("forged").await;
    for kind in ["wrong-key", "cut-body", "changed-body", "unsigned"] {
        bank.post("/sandbox/v1/forgeries", json!({ "kind": kind })).await;
    }
    let counts = bank.quiet().await["counts"].clone();
    assert_eq!((&counts["lost"], &counts["duplicated"]), (&json!(1), &json!(1)));
    assert_eq!((&counts["forged"], &counts["forged_rejected"]), (&json!(5), &json!(5)));
    assert_eq!(counts["delivered"], 3);
    let mut times = HashMap::new();
    for received in receiver.received() {
        if verifier(&secret).verify(&received.headers, &received.body, 0).is_ok() {
            *times.entry(received.event()).or_insert(0) += 1;
            assert!(!String::from_utf8_lossy(&received.body).contains(&lost));
        }
    }
    let mut times: Vec<u32> = times.into_values().collect();
    times.sort_unstable();
    assert_eq!(times, [1, 2]);
}

#[tokio::test]
async fn a_generated_day_is_delivered_whole_and_its_books_balance() {
    let receiver = Receiver::start(&[]).await;
    let bank = Bank::start(Config { rate_limit: 100_000, ..Bank::quick() }).await;
    bank.register(&receiver.url()).await;
    let order = json!({ "rate": 200, "seconds": 1 });
    assert_eq!(bank.post("/sandbox/v1/scenario", order.clone()).await["steps"], 200);
    assert_eq!(bank.call(Method::POST, "/sandbox/v1/scenario", order).await.0, 409);
    let state = bank.quiet().await;

    let truth = bank.get("/sandbox/v1/events").await;
    let made: HashSet<_> = truth["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["id"].as_str().unwrap().to_owned())
        .collect();
    let received: HashSet<_> = receiver.received().iter().map(Received::event).collect();
    assert!(made.len() >= 200 && made == received);

    // The list, followed link by link, says the same as the balances.
    let mut sums: HashMap<String, i64> = HashMap::new();
    let mut next = json!("/api/v1/transactions?page[size]=30");
    while let Some(target) = next.as_str() {
        let page = bank.get(target).await;
        for one in page["data"].as_array().unwrap() {
            let account = &one["relationships"]["account"]["data"]["id"];
            let amount = one["attributes"]["amount"]["valueInBaseUnits"].as_i64().unwrap();
            *sums.entry(account.as_str().unwrap().to_owned()).or_default() += amount;
        }
        next = page["links"]["next"].clone();
    }
    for account in state["accounts"].as_array().unwrap() {
        let expect = account["balance"].as_i64().unwrap() - account["opening"].as_i64().unwrap();
        assert_eq!(sums[account["id"].as_str().unwrap()], expect);
    }
}

#[tokio::test]
async fn stripe_events_are_signed_for_their_endpoint_and_repeat_their_id() {
    let receiver = Receiver::start(&[]).await;
    let bank = Bank::start(Bank::quick()).await;
    let order = json!({ "url": receiver.url(), "secret": "whsec_test", "count": 2, "repeat": 2 });
    let sent = bank.post("/sandbox/v1/stripe/send", order).await["sent"].clone();
    let statuses: Vec<_> = sent.as_array().unwrap().iter().map(|one| &one["status"]).collect();
    assert_eq!(statuses, [200, 200, 200, 200]);
    let received = receiver.received();
    assert_eq!(received[0].body, received[1].body);
    assert_ne!(received[0].body, received[2].body);
    let signature = received[0].header("stripe-signature").unwrap();
    let at: i64 = signature.strip_prefix("t=").unwrap().split(',').next().unwrap().parse().unwrap();
    let key = ("k".into(), Secret::new("whsec_test").unwrap());
    let verifier = Verifier::new(Scheme::stripe(), vec![key]).unwrap();
    verifier.verify(&received[0].headers, &received[0].body, at * 1000).unwrap();
}

#[tokio::test]
async fn a_gigantic_body_is_refused_while_it_streams() {
    let bank = Bank::start(Bank::quick()).await;
    let url = format!("http://{}/api/v1/webhooks", bank.sandbox.addr());
    let body = "x".repeat(80 * 1024);
    let response = bank.client.post(url).bearer_auth(TOKEN).body(body).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 413);
}

#[tokio::test]
async fn answers_carry_the_hours_budget_and_links_to_the_host_that_was_asked() {
    let bank = Bank::start(Config { rate_limit: 3, ..Bank::quick() }).await;
    let port = bank.sandbox.addr().port();
    let url = format!("http://localhost:{port}/api/v1/accounts");
    let response = bank.client.get(url).bearer_auth(TOKEN).send().await.unwrap();
    assert_eq!(response.headers()["x-ratelimit-remaining"], "2");
    assert_eq!(response.headers()["content-type"], "application/json");
    let body: Value = response.json().await.unwrap();
    let link = body["data"][0]["links"]["self"].as_str().unwrap();
    assert!(link.starts_with(&format!("http://localhost:{port}/api/v1/accounts/")), "{link}");
}

#[tokio::test]
async fn a_stopped_sandbox_frees_its_address() {
    let bank = Bank::start(Bank::quick()).await;
    let addr = bank.sandbox.addr();
    bank.sandbox.stop().await;
    tokio::net::TcpListener::bind(addr).await.unwrap();
}
