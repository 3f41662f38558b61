use std::sync::Arc;

use super::*;
use crate::api::Params;
use crate::clock::ManualClock;
use crate::config::Config;

fn world() -> World {
    World::new(&Config::default(), "http://bank", Arc::new(ManualClock::at(1_767_323_045_000)))
}

fn order(world: &mut World, method: Method, path: &str, body: &Value) -> (u16, Value) {
    let request = Request {
        method,
        path: format!("{ROOT}{path}"),
        params: Params::default(),
        bearer: None,
        body: if body.is_null() { Vec::new() } else { body.to_string().into_bytes() },
        origin: "http://bank".to_owned(),
    };
    match answer(world, &request) {
        Outcome::Answer(answer) => (answer.status, answer.body.unwrap_or_default()),
        other => panic!("expected an answer, got {other:?}"),
    }
}

fn post(world: &mut World, path: &str, body: &Value) -> Value {
    let (status, answer) = order(world, Method::POST, path, body);
    assert!((200..300).contains(&status), "{path}: {answer}");
    answer
}

fn account(world: &mut World, name: &str) -> String {
    let opened = post(world, "/accounts", &json!({ "name": name, "opening": 1_000 }));
    opened["id"].as_str().unwrap().to_owned()
}

#[test]
fn the_state_tells_every_change_deleted_ones_included() {
    let mut world = world();
    let (a, b) = (account(&mut world, "A"), account(&mut world, "B"));
    let made = post(&mut world, "/transactions", &json!({ "account": a, "amount": -300 }));
    let id = made["events"][0]["transaction"].as_str().unwrap().to_owned();
    let gone = post(&mut world, "/transactions", &json!({ "account": a, "amount": -50 }));
    let gone = gone["events"][0]["transaction"].as_str().unwrap().to_owned();
    post(&mut world, &format!("/transactions/{id}/settle"), &json!({ "amount": -330 }));
    post(&mut world, &format!("/transactions/{gone}/delete"), &Value::Null);
    post(&mut world, "/transfers", &json!({ "from": a, "to": b, "amount": 70 }));
    post(&mut world, &format!("/accounts/{b}/adjust"), &json!({ "amount": -5 }));

    let (_, state) = order(&mut world, Method::GET, "/state", &Value::Null);
    let balances: Vec<_> =
        state["accounts"].as_array().unwrap().iter().map(|one| one["balance"].clone()).collect();
    assert_eq!(balances, [json!(600), json!(1_065)]);
    assert_eq!(state["accounts"][1]["adjusted"], -5);
    let transactions = state["transactions"].as_array().unwrap();
    assert_eq!(transactions.len(), 4);
    let deleted = transactions.iter().find(|one| one["id"] == json!(gone)).unwrap();
    assert!(deleted["deleted_at"].is_i64());
}

#[test]
fn a_lost_event_is_in_the_truth_but_never_on_its_way() {
    let mut world = world();
    world.webhooks.create("http://127.0.0.1:1/", None, 0).unwrap();
    let a = account(&mut world, "A");
    let new = json!({ "account": a, "amount": -300, "course": "lost" });
    post(&mut world, "/transactions", &new);
    let (_, events) = order(&mut world, Method::GET, "/events", &Value::Null);
    assert_eq!(events["events"][0]["fate"], "lost");
    let (_, quiesce) = order(&mut world, Method::GET, "/quiesce", &Value::Null);
    assert_eq!(quiesce["quiet"], true);
    assert_eq!(world.outbox.counts.lost, 1);
    assert_eq!(world.bank.accounts()[0].balance, 700);
}

#[test]
fn orders_that_make_no_sense_are_refused_with_a_reason() {
    let mut world = world();
    let a = account(&mut world, "A");
    let mut check = |method, path: &str, body: Value, expect| {
        let (status, answer) = order(&mut world, method, path, &body);
        assert_eq!(status, expect, "{path} {body} {answer}");
        assert!(answer["error"].is_string());
    };
    check(Method::GET, "/nothing", Value::Null, 404);
    check(Method::POST, "/accounts", json!({ "nam": "x" }), 400);
    check(Method::POST, "/transactions", json!({ "account": "x", "amount": 1 }), 404);
    check(Method::POST, "/transactions", json!({ "account": a, "amount": 1, "tip": 2 }), 400);
    check(Method::POST, "/transactions", json!({ "account": a, "amount": 1, "course": "x" }), 400);
    check(Method::POST, "/transfers", json!({ "from": a, "to": a, "amount": 1 }), 409);
    check(Method::POST, "/scenario", json!({ "rate": 0, "seconds": 1 }), 400);
    check(Method::POST, "/forgeries", json!({ "count": 0 }), 400);
    check(Method::POST, "/forgeries", json!({ "webhook": "x" }), 404);
    check(Method::PATCH, "/faults", json!({ "lost_percent": 101 }), 400);
    check(
        Method::POST,
        "/stripe/send",
        json!({ "url": "http://h/", "secret": "s", "count": 0 }),
        400,
    );
}
