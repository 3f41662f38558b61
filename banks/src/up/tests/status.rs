//! What each status, and each way of not answering, becomes.

use std::time::Duration;

use super::fixture::{NOW, TOKEN, account, client, error};
use crate::bank::Bank as _;
use crate::error::{BankError, Silence};
use crate::testing::{BankServer, Reply};

const HOUR: i64 = 3_600_000;

/// Asks for an account; gives the outcome and the number of requests the bank saw.
async fn ask(replies: Vec<Reply>) -> (Result<i64, BankError>, usize) {
    let server = BankServer::start(replies).await;
    let found = client(&server).account("acc-1").await;
    (found.map(|observed| observed.value.balance.amount), server.seen().len())
}

#[tokio::test]
async fn an_answer_keeps_its_bytes_and_its_time() {
    let body = account("acc-1", 12_345);
    let server = BankServer::start([Reply::ok(body.clone())]).await;
    let found = client(&server).account("acc-1").await.unwrap();
    assert_eq!(found.answer, body);
    assert_eq!(found.observed_at, NOW);
    assert_eq!(found.value.balance.amount, 12_345);
    let seen = server.seen();
    assert_eq!(seen[0].target, "/api/v1/accounts/acc-1");
    assert_eq!(seen[0].headers["authorization"], format!("Bearer {TOKEN}"));
}

#[tokio::test]
async fn a_refused_token_is_final_and_never_shown() {
    let server = BankServer::start([Reply::status(401, error(401, "Not Authorized", "bad"))]).await;
    let client = client(&server);
    let refused = client.account("acc-1").await.unwrap_err();
    assert!(matches!(refused, BankError::Unauthorized), "{refused}");
    assert_eq!(server.seen().len(), 1);
    assert!(!format!("{client:?} {refused:?} {refused}").contains("tell-nobody"));
}

#[tokio::test]
async fn what_the_bank_does_not_know_is_not_found() {
    let (found, requests) = ask(vec![Reply::status(404, error(404, "Not Found", ""))]).await;
    assert!(matches!(found, Err(BankError::NotFound { what }) if what == "account acc-1"));
    assert_eq!(requests, 1);
}

#[tokio::test]
async fn another_refusal_carries_the_banks_reason() {
    let (found, requests) = ask(vec![Reply::status(422, error(422, "Invalid", "no such"))]).await;
    let Err(BankError::Rejected { status: 422, title, detail, .. }) = found else {
        panic!("{found:?}")
    };
    assert_eq!((title.as_str(), detail.as_str()), ("Invalid", "no such"));
    assert_eq!(requests, 1);
}

#[tokio::test]
async fn a_redirect_is_refused_and_not_followed() {
    let server = BankServer::start([]).await;
    server.then(Reply::status(302, "").with("location", &format!("{}/accounts/x", server.base)));
    let found = client(&server).account("acc-1").await;
    assert!(matches!(found, Err(BankError::Rejected { status: 302, .. })), "{found:?}");
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_passing_fault_is_asked_again() {
    let (found, requests) =
        ask(vec![Reply::status(503, ""), Reply::Silence, Reply::ok(account("acc-1", 7))]).await;
    assert_eq!(found.unwrap(), 7);
    assert_eq!(requests, 3);
}

#[tokio::test]
async fn a_lasting_fault_ends_after_the_permitted_attempts() {
    let (found, requests) = ask(vec![Reply::status(500, ""); 5]).await;
    assert!(
        matches!(
            &found,
            Err(BankError::Unavailable { attempts: 3, reason: Silence::Status(500), .. })
        ),
        "{found:?}"
    );
    assert_eq!(requests, 3);
}

#[tokio::test]
async fn a_long_pause_the_bank_asks_for_is_left_to_the_caller() {
    let (found, requests) = ask(vec![Reply::status(503, "").with("retry-after", &60)]).await;
    let Err(BankError::Unavailable { attempts: 1, retry_after, .. }) = found else {
        panic!("{found:?}")
    };
    assert_eq!(retry_after, Some(Duration::from_mins(1)));
    assert_eq!(requests, 1);
}

#[tokio::test]
async fn a_pause_beyond_an_hour_is_not_believed() {
    let (found, _) = ask(vec![Reply::status(503, "").with("retry-after", &u64::MAX)]).await;
    let Err(BankError::Unavailable { retry_after, .. }) = found else { panic!("{found:?}") };
    assert_eq!(retry_after, Some(Duration::from_hours(1)));
}

#[tokio::test]
async fn nobody_listening_is_unavailable() {
    let server = BankServer::start([]).await;
    let client = client(&server);
    stop(server).await;
    let found = client.account("acc-1").await;
    assert!(matches!(found, Err(BankError::Unavailable { attempts: 3, .. })), "{found:?}");
}

/// Stops the server; returns when its port takes no connection.
async fn stop(server: BankServer) {
    let address = server.base.trim_start_matches("http://").trim_end_matches("/api/v1").to_owned();
    drop(server);
    while tokio::net::TcpStream::connect(&address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_used_up_hour_ends_with_the_clock_hour_and_costs_no_further_request() {
    let used_up = Reply::status(429, error(429, "Too Many Requests", "1000 per hour"))
        .with("x-ratelimit-remaining", &0);
    let server = BankServer::start([used_up]).await;
    let client = client(&server);
    for _ in 0..2 {
        let found = client.account("acc-1").await;
        let Err(BankError::RateLimited { reset_at, wait }) = found else { panic!("{found:?}") };
        assert_eq!(reset_at, NOW - NOW % HOUR + HOUR);
        assert!(wait >= Duration::from_mins(30));
    }
    assert_eq!(server.seen().len(), 1);
    assert_eq!(client.budget().unwrap().remaining, 0);
}

#[tokio::test]
async fn a_429_with_requests_left_is_only_a_throttle() {
    let throttle = || Reply::status(429, "").with("x-ratelimit-remaining", &400);
    let (found, requests) = ask(vec![throttle(), Reply::ok(account("acc-1", 7))]).await;
    assert_eq!(found.unwrap(), 7);
    assert_eq!(requests, 2);
    let (found, requests) = ask(vec![throttle().with("retry-after", &90)]).await;
    let Err(BankError::RateLimited { reset_at, .. }) = found else { panic!("{found:?}") };
    assert_eq!(reset_at, NOW + 90_000);
    assert_eq!(requests, 1);
}

#[tokio::test]
async fn background_requests_stop_where_the_bank_says_that_little_is_left() {
    let last = Reply::ok(account("acc-1", 7)).with("x-ratelimit-remaining", &300);
    let server = BankServer::start([last, Reply::ok(account("acc-1", 8))]).await;
    let live = client(&server);
    live.account("acc-1").await.unwrap();
    let refused = live.background().account("acc-1").await;
    assert!(matches!(refused, Err(BankError::RateLimited { .. })), "{refused:?}");
    assert_eq!(live.account("acc-1").await.unwrap().value.balance.amount, 8);
}

#[tokio::test]
async fn a_giant_answer_is_cut_off() {
    let (found, _) = ask(vec![Reply::ok(" ".repeat(300 * 1024))]).await;
    assert!(matches!(found, Err(BankError::TooLarge { limit: 262_144, .. })), "{found:?}");
}

#[tokio::test]
async fn an_answer_that_is_no_account_is_malformed() {
    for body in ["", "{", "[]", "{\"data\":{}}", "<html></html>"] {
        let (found, requests) = ask(vec![Reply::ok(body)]).await;
        assert!(matches!(found, Err(BankError::Malformed { .. })), "{body}: {found:?}");
        assert_eq!(requests, 1);
    }
}

#[tokio::test]
async fn an_answer_about_another_account_is_refused() {
    let (found, _) = ask(vec![Reply::ok(account("acc-2", 7))]).await;
    assert!(matches!(found, Err(BankError::WrongResource { .. })), "{found:?}");
}

#[tokio::test]
async fn a_text_that_is_no_id_makes_no_request() {
    let server = BankServer::start([]).await;
    let client = client(&server);
    let long = "a".repeat(65);
    for id in ["", "..", "a/b", "a?b", "a%2fb", "a b", "\u{e4}", "http://evil.example", &long] {
        let found = client.transaction(id).await;
        assert!(matches!(found, Err(BankError::InvalidId { .. })), "{id}: {found:?}");
    }
    assert!(server.seen().is_empty());
}
