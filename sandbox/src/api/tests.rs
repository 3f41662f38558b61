mod shapes;

use std::sync::Arc;

use serde_json::Value;

use super::*;
use crate::bank::{Money, NewTransaction, Settlement};
use crate::clock::ManualClock;
use crate::config::Config;
use crate::dispatch::Course;
use crate::faults::Faults;
use crate::opening::furnish;

const NOW: i64 = 1_767_323_045_000;

fn world(config: &Config) -> World {
    let mut world = World::new(config, "http://bank", Arc::new(ManualClock::at(NOW)));
    furnish(&mut world.bank, config.seed, config.accounts, config.history, NOW).unwrap();
    world
}

fn request(method: Method, target: &str, body: &str) -> Request {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Request {
        method,
        path: format!("{ROOT}{path}"),
        params: Params::parse(query),
        bearer: Some("up:demo:sandbox".to_owned()),
        body: body.as_bytes().to_vec(),
        origin: "http://bank".to_owned(),
    }
}

fn get(world: &mut World, target: &str) -> (u16, Value) {
    let answer = answer(world, &request(Method::GET, target, ""));
    (answer.status, answer.body.unwrap_or_default())
}

fn list(world: &mut World, target: &str) -> Vec<Value> {
    let (status, body) = get(world, target);
    assert_eq!(status, 200, "{target}: {body}");
    body["data"].as_array().unwrap().clone()
}

fn send(world: &mut World, method: Method, target: &str, body: &Value) -> (u16, Value) {
    let answer = answer(world, &request(method, target, &body.to_string()));
    (answer.status, answer.body.unwrap_or_default())
}

fn create_webhook(world: &mut World) -> Value {
    let body = json!({ "data": { "attributes": { "url": "http://127.0.0.1:1/hook" } } });
    let (status, body) = send(world, Method::POST, "/webhooks", &body);
    assert_eq!(status, 201);
    body["data"].clone()
}

fn id(resource: &Value) -> String {
    resource["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_wrong_or_missing_token_is_401_and_costs_nothing() {
    let mut world = world(&Config { rate_limit: 1, ..Config::default() });
    for bearer in [None, Some("up:demo:other".to_owned())] {
        let answer =
            answer(&mut world, &Request { bearer, ..request(Method::GET, "/util/ping", "") });
        assert_eq!((answer.status, answer.remaining), (401, None));
        shapes::check_errors(&answer.body.unwrap(), 401);
    }
    let answer = answer(&mut world, &request(Method::GET, "/util/ping", ""));
    assert_eq!((answer.status, answer.remaining), (200, Some(0)));
}

#[test]
fn a_used_up_hour_is_429_with_nothing_remaining() {
    let mut world = world(&Config { rate_limit: 1, ..Config::default() });
    get(&mut world, "/util/ping");
    let answer = answer(&mut world, &request(Method::GET, "/accounts", ""));
    assert_eq!((answer.status, answer.remaining), (429, Some(0)));
    shapes::check_errors(&answer.body.unwrap(), 429);
}

#[test]
fn the_api_fails_as_often_as_its_faults_say() {
    let check = |faults, expect| {
        let mut world = world(&Config { faults, ..Config::default() });
        let (status, body) = get(&mut world, "/accounts");
        assert_eq!(status, expect);
        shapes::check_errors(&body, expect);
    };
    check(Faults { api_error_percent: 100, ..Faults::default() }, 500);
    check(Faults { api_throttle_percent: 100, ..Faults::default() }, 429);
}

#[test]
fn what_is_not_there_is_404() {
    let mut world = world(&Config::default());
    for target in [
        "/accounts/x",
        "/accounts/x/transactions",
        "/transactions/x",
        "/categories/x",
        "/categories?filter[parent]=x",
        "/transactions?filter[category]=x",
        "/attachments/x",
        "/webhooks/x",
        "/webhooks/x/logs",
        "/nothing",
        "/accounts/",
        "",
        "x/accounts",
        "//accounts",
    ] {
        let (status, body) = get(&mut world, target);
        assert_eq!(status, 404, "{target}");
        shapes::check_errors(&body, 404);
    }
}

#[test]
fn parameters_that_cannot_be_read_are_400_and_named() {
    let mut world = world(&Config::default());
    for (target, parameter) in [
        ("/transactions?page[size]=0", "page[size]"),
        ("/transactions?filter[status]=DONE", "filter[status]"),
        ("/transactions?filter[since]=2024-01-01T00:00:00+10:00", "filter[since]"),
        ("/transactions?filter[until]=soon", "filter[until]"),
        ("/accounts?filter[accountType]=GOLD", "filter[accountType]"),
        ("/accounts?filter[ownershipType]=NOBODY", "filter[ownershipType]"),
    ] {
        let (status, body) = get(&mut world, target);
        assert_eq!(status, 400, "{target}");
        shapes::check_errors(&body, 400);
        assert_eq!(body["errors"][0]["source"]["parameter"], parameter);
    }
}

#[test]
fn transactions_are_listed_newest_first_and_filtered() {
    let mut world = world(&Config::default());
    let account = world.bank.accounts()[0].id.clone();
    let new = NewTransaction {
        category: Some("takeaway".to_owned()),
        ..NewTransaction::held(&account, -1_200, "Noodles")
    };
    let events = world.apply(Course::Clean, |bank, now| bank.record(new, now)).unwrap();
    let noodles = &events[0].transaction;

    let all = list(&mut world, "/transactions?page[size]=100");
    assert_eq!(all.len(), 3 * 8 + 1);
    assert_eq!(&id(&all[0]), noodles);
    let times: Vec<_> = all.iter().map(|one| one["attributes"]["createdAt"].to_string()).collect();
    assert!(times.is_sorted_by(|newer, older| newer >= older));

    let mut check = |query: &str, expect: usize| {
        assert_eq!(list(&mut world, &format!("/transactions?{query}")).len(), expect, "{query}");
    };
    check("filter[status]=HELD", 1);
    check("filter[category]=takeaway", 1);
    check("filter[category]=good-life", 1);
    check("filter[category]=home", 0);
    check("filter[tag]=Weekend+Away", 6);
    check("filter[tag]=unknown", 0);
    check("filter[since]=2026-01-02T13:04:05%2B10:00", 1);
    check("filter[since]=2026-01-02T13:04:06%2B10:00", 0);
    check("filter[until]=2025-12-31T23:59:59Z&filter[status]=SETTLED&page[size]=100", 21);
    let own = list(&mut world, &format!("/accounts/{account}/transactions"));
    assert_eq!(own.len(), 9);
}

#[test]
fn categories_and_tags_change_by_their_own_routes() {
    let mut world = world(&Config::default());
    let one = id(&list(&mut world, "/transactions")[0]);
    let category = format!("/transactions/{one}/relationships/category");
    let tags = format!("/transactions/{one}/relationships/tags");
    let label = |id: &str| json!({ "type": "tags", "id": id });
    let mut check = |method, target: &str, body: Value, expect| {
        let (status, answer) = send(&mut world, method, target, &body);
        assert_eq!(status, expect, "{target} {body}");
        if expect >= 400 {
            shapes::check_errors(&answer, expect);
        } else {
            assert_eq!(answer, Value::Null);
        }
    };
    let set = |id: &str| json!({ "data": { "type": "categories", "id": id } });
    check(Method::PATCH, &category, set("fuel"), 204);
    check(Method::PATCH, &category, set("transport"), 422);
    check(Method::PATCH, &category, set("unknown"), 422);
    check(Method::PATCH, &category, json!({}), 422);
    check(Method::PATCH, &category, json!({ "data": { "type": "tags", "id": "fuel" } }), 422);
    check(Method::PATCH, "/transactions/x/relationships/category", set("fuel"), 404);
    check(Method::POST, &tags, json!({ "data": [label("a"), label("b"), label("a")] }), 204);
    check(Method::POST, &tags, json!({ "data": (["c", "d", "e", "f", "g"].map(label)) }), 422);
    check(Method::DELETE, &tags, json!({ "data": [label("b"), label("unknown")] }), 204);
    check(Method::POST, &tags, json!({ "data": "a" }), 422);

    let (_, body) = get(&mut world, &format!("/transactions/{one}"));
    let relationships = &body["data"]["relationships"];
    assert_eq!(relationships["category"]["data"]["id"], "fuel");
    assert_eq!(relationships["parentCategory"]["data"]["id"], "transport");
    let kept = relationships["tags"]["data"].as_array().unwrap();
    assert_eq!(kept, &["Earlier", "Weekend Away", "a"].map(label));

    let (status, _) = send(&mut world, Method::PATCH, &category, &json!({ "data": null }));
    assert_eq!(status, 204);
    let (_, body) = get(&mut world, &format!("/transactions/{one}"));
    assert_eq!(body["data"]["relationships"]["category"]["data"], Value::Null);
}

#[test]
fn a_webhook_shows_its_secret_once() {
    let mut world = world(&Config::default());
    let created = create_webhook(&mut world);
    let secret = created["attributes"]["secretKey"].as_str().unwrap().to_owned();
    assert_eq!(secret.len(), 64);
    let id = id(&created);
    let (_, again) = get(&mut world, &format!("/webhooks/{id}"));
    let (_, listed) = get(&mut world, "/webhooks");
    assert!(!again.to_string().contains(&secret) && !listed.to_string().contains(&secret));

    let target = format!("/webhooks/{id}");
    assert_eq!(send(&mut world, Method::DELETE, &target, &json!({})).0, 204);
    assert_eq!(send(&mut world, Method::DELETE, &target, &json!({})).0, 404);
}

#[test]
fn webhooks_have_limits() {
    let mut world = world(&Config::default());
    let mut check = |url: Value, description: Value, expect, pointer: &str| {
        let body = json!({ "data": { "attributes": { "url": url, "description": description } } });
        let (status, answer) = send(&mut world, Method::POST, "/webhooks", &body);
        assert_eq!(status, expect, "{url} {description}");
        if expect != 201 {
            shapes::check_errors(&answer, expect);
            assert_eq!(answer["errors"][0]["source"]["pointer"], pointer);
        }
    };
    let long = |count: usize| format!("http://h/{}", "x".repeat(count - 9));
    check(json!(long(301)), Value::Null, 422, "/data/attributes/url");
    check(json!("ftp://h/"), Value::Null, 422, "/data/attributes/url");
    check(json!("not a url"), Value::Null, 422, "/data/attributes/url");
    check(Value::Null, Value::Null, 422, "/data/attributes/url");
    check(json!(long(300)), json!("x".repeat(65)), 422, "/data/attributes/description");
    check(json!(long(300)), json!("x".repeat(64)), 201, "");
    for _ in 1..10 {
        check(json!("https://h/"), Value::Null, 201, "");
    }
    check(json!("https://h/"), Value::Null, 422, "/data");
    let (status, _) = {
        let answer = answer(&mut world, &request(Method::POST, "/webhooks", "{"));
        (answer.status, answer.body)
    };
    assert_eq!(status, 400);
}

#[test]
fn a_deleted_hold_is_gone_and_its_event_has_no_link() {
    let mut world = world(&Config::default());
    create_webhook(&mut world);
    let account = world.bank.accounts()[0].id.clone();
    let new = NewTransaction::held(&account, -5_000, "Hotel");
    let held = world.apply(Course::Clean, |bank, now| bank.record(new, now)).unwrap();
    let id = held[0].transaction.clone();
    assert_eq!(get(&mut world, &format!("/transactions/{id}")).0, 200);
    world.apply(Course::Clean, |bank, now| bank.delete(&id, now)).unwrap();
    assert_eq!(get(&mut world, &format!("/transactions/{id}")).0, 404);
    let resources = Resources::new("http://bank");
    let event = |kind| resources.event("e", kind, "w", Some(&id), NOW);
    let deleted = event(crate::bank::EventType::TransactionDeleted);
    assert_eq!(
        deleted["data"]["relationships"]["transaction"],
        json!({ "data": { "type": "transactions", "id": id } })
    );
    shapes::check_event(&deleted);
    shapes::check_event(&event(crate::bank::EventType::TransactionCreated));
}

#[test]
fn every_answer_has_the_shape_that_clients_rely_on() {
    let mut world = world(&Config::default());
    let webhook = create_webhook(&mut world);
    shapes::check_webhook(&webhook, true);
    let (spending, saver) =
        (world.bank.accounts()[0].id.clone(), world.bank.accounts()[1].id.clone());
    let new = NewTransaction {
        foreign: Some(Money { currency: "IDR".to_owned(), base_units: -98_765_432 }),
        round_up: true,
        message: Some("m".to_owned()),
        note: Some("n".to_owned()),
        category: Some("fuel".to_owned()),
        card: Some(crate::bank::CardMethod::CardOnFile),
        ..NewTransaction::held(&spending, -10_191, "Night Market")
    };
    let id = world.apply(Course::Clean, |bank, now| bank.record(new, now)).unwrap()[0]
        .transaction
        .clone();
    world.apply(Course::Clean, |b, now| b.settle(&id, None, Settlement::InPlace, now)).unwrap();
    world.apply(Course::Clean, |b, now| b.transfer(&spending, &saver, 100, "t", now)).unwrap();
    let crate::dispatch::Next::Send(delivery) = world.next_delivery() else {
        panic!("expected a delivery")
    };
    let response = crate::webhooks::Response { status: 200, body: "ok".to_owned() };
    world.delivered(delivery, Some(response));

    let mut each = |target: &str, check: fn(&Value)| {
        let (status, body) = get(&mut world, target);
        assert_eq!(status, 200, "{target}");
        shapes::check_list(&body);
        let data = body["data"].as_array().unwrap();
        assert!(!data.is_empty(), "{target}");
        for one in data {
            check(one);
        }
        body["data"][0]["id"].as_str().unwrap().to_owned()
    };
    let account = each("/accounts", shapes::check_account);
    let transaction = each("/transactions?page[size]=100", shapes::check_transaction);
    each(&format!("/accounts/{account}/transactions"), shapes::check_transaction);
    let attachment = each("/attachments", shapes::check_attachment);
    each("/tags", shapes::check_tag);
    let webhook = each("/webhooks", |one| shapes::check_webhook(one, false));
    each(&format!("/webhooks/{webhook}/logs"), shapes::check_log_entry);

    let mut one = |target: String, check: fn(&Value)| {
        let (status, body) = get(&mut world, &target);
        assert_eq!(status, 200, "{target}");
        check(&body["data"]);
    };
    one(format!("/accounts/{account}"), shapes::check_account);
    one(format!("/transactions/{transaction}"), shapes::check_transaction);
    one(format!("/attachments/{attachment}"), shapes::check_attachment);
    one(format!("/webhooks/{webhook}"), |one| shapes::check_webhook(one, false));
    one("/categories/home".to_owned(), shapes::check_category);
    for category in list(&mut world, "/categories") {
        shapes::check_category(&category);
    }
    let children = list(&mut world, "/categories?filter[parent]=transport");
    assert_eq!(children.len(), 8);
    let (status, event) =
        send(&mut world, Method::POST, &format!("/webhooks/{webhook}/ping"), &json!(""));
    assert_eq!(status, 201);
    shapes::check_event(&event);
    let (_, ping) = get(&mut world, "/util/ping");
    assert!(ping["meta"]["id"].is_string() && ping["meta"]["statusEmoji"].is_string());
}
