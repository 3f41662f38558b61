//! Pages are followed as the bank links them, and nowhere else.

use super::fixture::{accounts, client};
use crate::bank::Bank as _;
use crate::error::BankError;
use crate::testing::{BankServer, Reply};

#[tokio::test]
async fn links_are_followed_as_they_are() {
    let server = BankServer::start([]).await;
    let next = format!("{}/accounts?page%5Bafter%5D=WyJhIl0%3D&page%5Bsize%5D=1", server.base);
    server.then(Reply::ok(accounts(&["acc-1", "acc-2"], Some(&next))));
    server.then(Reply::ok(accounts(&["acc-3"], None)));
    let pages = client(&server).accounts().await.unwrap();
    let ids: Vec<_> =
        pages.iter().flat_map(|page| &page.value).map(|account| account.id.as_str()).collect();
    assert_eq!(ids, ["acc-1", "acc-2", "acc-3"]);
    assert_eq!(pages[1].answer, accounts(&["acc-3"], None));
    let targets: Vec<_> = server.seen().into_iter().map(|seen| seen.target).collect();
    assert_eq!(
        targets,
        [
            "/api/v1/accounts?page%5Bsize%5D=100",
            "/api/v1/accounts?page%5Bafter%5D=WyJhIl0%3D&page%5Bsize%5D=1"
        ]
    );
}

#[tokio::test]
async fn a_listing_that_goes_round_is_refused() {
    let server = BankServer::start([]).await;
    let next = format!("{}/accounts?page=1", server.base);
    for _ in 0..3 {
        server.then(Reply::ok(accounts(&["acc-1"], Some(&next))));
    }
    let found = client(&server).accounts().await;
    assert!(matches!(found, Err(BankError::EndlessListing { .. })), "{found:?}");
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn a_link_away_from_the_bank_is_not_followed() {
    let server = BankServer::start([]).await;
    let host = server.base.trim_start_matches("http://").trim_end_matches("/api/v1").to_owned();
    let foreign = [
        "https://evil.example/api/v1/accounts".to_owned(),
        format!("https://{host}/api/v1/accounts"),
        format!("http://me:pw@{host}/api/v1/accounts"),
        format!("http://{host}/api/v10/accounts"),
        format!("http://{host}/api/v1"),
        format!("http://{host}/api/v1/../v2/accounts"),
        format!("http://{host}/api/v1/%2e%2e/v2/accounts"),
        format!("http://{host}@evil.example/api/v1/accounts"),
        "/api/v1/accounts?page=2".to_owned(),
        format!("http://{host}/api/v1/accounts?{}", "x".repeat(5000)),
    ];
    let client = client(&server);
    for link in &foreign {
        server.then(Reply::ok(accounts(&["acc-1"], Some(link))));
        let found = client.accounts().await;
        assert!(matches!(found, Err(BankError::ForeignLink { .. })), "{link}: {found:?}");
    }
    assert_eq!(server.seen().len(), foreign.len());
}

#[tokio::test]
async fn an_account_id_in_a_listing_is_checked_too() {
    let server = BankServer::start([]).await;
    let found = client(&server).transactions("../webhooks").await;
    assert!(matches!(found, Err(BankError::InvalidId { .. })), "{found:?}");
    assert!(server.seen().is_empty());
}
