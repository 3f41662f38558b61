//! The whole graph, without a broker.

mod server;

use std::{io::Write as _, time::Duration};

use schemas::{Position, Transaction};
use streams::{Guarantee, Headers, testing::TestDriver};
use tempfile::NamedTempFile;

use super::*;
use server::{Play, Server};

const DRY_RUN: &str = "[rules.thanks]\ntemplate = '{amount} from {description}'\n";
const MASTODON: &str = "[rules.thanks]\ntemplate = '{amount}'\nnetwork = 'mastodon'\n";

fn rules(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("file");
    file.write_all(text.as_bytes()).expect("written");
    file
}

fn config(rules: &NamedTempFile, server: Option<&Server>) -> Config {
    Config {
        rules: rules.path().to_owned(),
        mastodon_url: server.map(Server::url),
        mastodon_token: server.map(|_| Token::from("token".to_owned())),
        mastodon_token_file: None,
        mastodon_language: Some("en".to_owned()),
    }
}

/// As the app is declared.
fn driver(text: &str, server: Option<&Server>) -> TestDriver {
    driver_under(Guarantee::ExactlyOnce, text, server)
}

fn driver_under(guarantee: Guarantee, text: &str, server: Option<&Server>) -> TestDriver {
    let topology = topology(&config(&rules(text), server)).expect("topology");
    TestDriver::with_guarantee(topology, guarantee).expect("driver")
}

fn event(id: &str, is_deleted: bool) -> TransactionEnriched {
    let change = if is_deleted { "deleted" } else { "settled" };
    let transaction = Transaction {
        status: "SETTLED".to_owned(),
        amount: 4_750,
        currency: "AUD".to_owned(),
        held_amount: None,
        foreign_amount: None,
        foreign_currency: None,
        round_up_amount: None,
        description: "@david".to_owned(),
        raw_text: None,
        message: None,
        category: None,
        transfer_account_id: None,
        created_at: 0,
        settled_at: Some(0),
    };
    TransactionEnriched {
        source: "up".to_owned(),
        event_id: format!("event-{id}"),
        transaction_id: id.to_owned(),
        account_id: Some("account".to_owned()),
        change: change.to_owned(),
        transaction: (!is_deleted).then_some(transaction),
        observed_at: 0,
        answer: None,
        raw: Position { topic: "raw".to_owned(), partition: 0, offset: 0 },
    }
}

fn pipe(driver: &mut TestDriver, event: &TransactionEnriched) {
    driver.pipe(topics::TRANSACTIONS_ENRICHED, &"account".to_owned(), event).expect("piped");
}

/// `post id: outcome, attempts`, of each post since the last look.
fn outcomes(driver: &mut TestDriver) -> Vec<String> {
    let records = driver.read::<String, PostPublished>(topics::POSTS_PUBLISHED).expect("read");
    let line = |PostPublished { post_id, outcome, attempts, .. }| {
        format!("{post_id}: {outcome}, {attempts}")
    };
    records.into_iter().map(|record| line(record.value)).collect()
}

#[test]
fn the_graph_is_described_without_a_broker() {
    let described = topology(&config(&rules(DRY_RUN), None)).expect("topology").describe();
    insta::assert_snapshot!(described, @r"
    application social-poster
    sub-topology decide (effects: none)
      source transactions (topic: bank.transactions.enriched.v1)
        --> request
      processor request (in partition order)
        <-> posts
        --> requested
      store posts (topic: social-poster-posts-changelog)
      sink requested (topic: social.posts.requested.v1)
    sub-topology publish (effects: publish)
      source requested (topic: social.posts.requested.v1)
        --> publish
      processor publish (in key order, at most 4 calls in flight)
        <-> effects
        --> published
      store effects (topic: social-poster-effects)
      sink published (topic: social.posts.published.v1)
    ");
}

#[test]
fn a_post_is_asked_for_and_told_once_and_by_default_goes_nowhere() {
    let server = Server::playing(&[]);
    let mut driver = driver(DRY_RUN, Some(&server));
    pipe(&mut driver, &event("a", false));
    pipe(&mut driver, &event("a", false));
    let requested = driver.read::<String, PostRequested>(topics::POSTS_REQUESTED).expect("read");
    let texts: Vec<_> = requested.iter().map(|record| record.value.text.as_str()).collect();
    assert_eq!(texts, ["about AUD 50 from david"]);
    assert_eq!(outcomes(&mut driver), ["thanks:a: dry-run, 1"]);
    assert_eq!(server.requests().len(), 0);
    assert_eq!(driver.committed(topics::TRANSACTIONS_ENRICHED), Some(2));
    assert_eq!(driver.committed(topics::POSTS_REQUESTED), Some(1));
}

#[test]
fn a_deletion_that_comes_first_forbids_the_post() {
    let mut driver = driver(DRY_RUN, None);
    pipe(&mut driver, &event("a", true));
    pipe(&mut driver, &event("a", false));
    assert_eq!(outcomes(&mut driver), [""; 0]);
    assert_eq!(driver.committed(topics::TRANSACTIONS_ENRICHED), Some(2));
}

#[test]
fn records_that_make_no_sense_go_to_the_dead_letters_and_the_rest_moves_on() {
    let mut driver = driver(DRY_RUN, None);
    let (key, poison) = ("account".into(), "not Avro".into());
    driver.pipe_bytes(topics::TRANSACTIONS_ENRICHED, Some(key), Some(poison), Headers::new());
    pipe(&mut driver, &TransactionEnriched { transaction: None, ..event("a", false) });
    pipe(&mut driver, &event("a", false));
    assert_eq!(outcomes(&mut driver), ["thanks:a: dry-run, 1"]);
    assert_eq!(driver.committed(topics::TRANSACTIONS_ENRICHED), Some(3));
    let letters = driver.dead_letters();
    assert_eq!(letters.len(), 2);
    assert_eq!(letters[0].record.value.as_deref(), Some(&b"not Avro"[..]));
    assert!(letters[1].reason.message.contains("comes without the transaction"), "{letters:?}");
}

#[test]
fn mastodon_gets_a_status_with_token_key_and_visibility() {
    let server = Server::playing(&[]);
    let mut driver = driver(MASTODON, Some(&server));
    pipe(&mut driver, &event("a", false));
    let requests = server.requests();
    let [request] = requests.as_slice() else { panic!("{requests:?}") };
    assert_eq!(request.header("authorization"), "Bearer token");
    // sha256 of "social-poster:thanks:a|mastodon"
    assert_eq!(
        request.header("idempotency-key"),
        "6f42e1ab6288fba46a8ec8e0b98a31544ea6b92fa3806e7e9a2835bf10664aa1"
    );
    let expect = serde_json::json!(
        {"status": "about AUD 50", "visibility": "unlisted", "language": "en"}
    );
    assert_eq!(request.body, expect);
    let told = driver.read::<String, PostPublished>(topics::POSTS_PUBLISHED).expect("read");
    assert_eq!(told[0].value.outcome, "published");
    assert_eq!(told[0].value.network_id.as_deref(), Some("0"));
    assert_eq!(told[0].value.url.as_deref(), Some("https://m.example/@a/0"));
}

#[test]
fn a_lost_answer_is_asked_for_again_and_the_post_stays_one() {
    let server = Server::playing(&[Play::PostSilently, Play::Refuse(503), Play::PostSilently]);
    let mut driver = driver(MASTODON, Some(&server));
    pipe(&mut driver, &event("a", false));
    assert_eq!(outcomes(&mut driver), [""; 0]);
    driver.advance(Duration::from_mins(1));
    assert_eq!(outcomes(&mut driver), ["thanks:a: published, 4"]);
    assert_eq!((server.requests().len(), server.statuses()), (4, 1));
}

#[test]
fn a_post_is_one_through_a_restart_before_the_commit() {
    let server = Server::playing(&[]);
    let mut driver = driver_under(Guarantee::AtLeastOnce, MASTODON, Some(&server));
    driver.hold_commits();
    pipe(&mut driver, &event("a", false));
    driver.restart().expect("restarted");
    pipe(&mut driver, &event("a", false));
    let told = outcomes(&mut driver);
    assert!(told.iter().all(|outcome| outcome == "thanks:a: published, 1"), "{told:?}");
    assert_eq!((server.requests().len(), server.statuses()), (1, 1));
    let requested = driver.records(topics::POSTS_REQUESTED).len();
    let committed = driver.committed(topics::POSTS_REQUESTED).expect("committed");
    assert_eq!(usize::try_from(committed), Ok(requested));
}

#[test]
fn an_answer_that_does_not_come_while_the_key_is_honoured_is_unknown() {
    let server = Server::playing(&[Play::PostSilently; 1_000]);
    let mut driver = driver(MASTODON, Some(&server));
    pipe(&mut driver, &event("a", false));
    driver.advance(Duration::from_mins(54));
    assert_eq!(outcomes(&mut driver), [""; 0]);
    driver.advance(Duration::from_mins(2));
    let told = driver.read::<String, PostPublished>(topics::POSTS_PUBLISHED).expect("read");
    assert_eq!(told[0].value.outcome, "unknown");
    assert_eq!(told[0].value.detail.as_deref(), Some("`mastodon` answered 502"));
    let calls = server.requests().len();
    driver.advance(Duration::from_hours(1));
    assert_eq!((server.requests().len(), server.statuses()), (calls, 1));
    assert_eq!(driver.committed(topics::POSTS_REQUESTED), Some(1));
}

#[test]
fn a_refused_post_is_told_with_the_reason_and_not_repeated() {
    let server = Server::playing(&[Play::Refuse(422)]);
    let mut driver = driver(MASTODON, Some(&server));
    pipe(&mut driver, &event("a", false));
    driver.advance(Duration::from_mins(10));
    let told = driver.read::<String, PostPublished>(topics::POSTS_PUBLISHED).expect("read");
    assert_eq!(told[0].value.outcome, "rejected");
    let detail = "422 Unprocessable Entity: Validation failed: Text is odd";
    assert_eq!(told[0].value.detail.as_deref(), Some(detail));
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_rate_limit_is_waited_out_for_as_long_as_the_server_says() {
    let server = Server::playing(&[Play::Refuse(429)]);
    let mut driver = driver(MASTODON, Some(&server));
    pipe(&mut driver, &event("a", false));
    driver.advance(Duration::from_secs(2));
    assert_eq!(server.requests().len(), 1);
    driver.advance(Duration::from_secs(2));
    assert_eq!(outcomes(&mut driver), ["thanks:a: published, 2"]);
}

#[test]
fn a_token_that_is_refused_stops_the_application_and_loses_no_post() {
    let server = Server::playing(&[Play::Refuse(401)]);
    let mut driver = driver(MASTODON, Some(&server));
    pipe(&mut driver, &event("a", false));
    let halt = driver.halted().map(|halt| format!("{halt:?}")).expect("halted");
    assert!(halt.contains("give a token with the scope write:statuses"), "{halt}");
    assert_eq!(driver.committed(topics::POSTS_REQUESTED).unwrap_or_default(), 0);
    driver.restart().expect("restarted");
    assert_eq!(outcomes(&mut driver), ["thanks:a: published, 2"]);
}

#[test]
fn an_intent_older_than_its_key_is_not_repeated_after_a_restart() {
    let server = Server::playing(&[Play::PostSilently, Play::Refuse(401)]);
    let mut driver = driver(MASTODON, Some(&server));
    pipe(&mut driver, &event("a", false));
    driver.advance(Duration::from_mins(56));
    assert!(driver.halted().is_some());
    driver.restart().expect("restarted");
    let told = driver.read::<String, PostPublished>(topics::POSTS_PUBLISHED).expect("read");
    assert_eq!(told[0].value.outcome, "unknown");
    assert_eq!((server.requests().len(), server.statuses()), (2, 1));
    assert_eq!(driver.committed(topics::POSTS_REQUESTED), Some(1));
}

#[test]
fn a_post_for_a_network_that_is_not_configured_stops_the_application() {
    let mut driver = driver(DRY_RUN, None);
    let post = PostRequested {
        post_id: "thanks:a".to_owned(),
        rule: "thanks".to_owned(),
        network: "mastodon".to_owned(),
        text: "hello".to_owned(),
        visibility: "public".to_owned(),
        transaction_id: "a".to_owned(),
        event_id: "event-a".to_owned(),
        requested_at: 0,
    };
    let unheard_of = PostRequested { network: "gopher".to_owned(), ..post.clone() };
    driver.pipe(topics::POSTS_REQUESTED, &"thanks:a".to_owned(), &unheard_of).expect("piped");
    assert_eq!(outcomes(&mut driver), ["thanks:a: rejected, 1"]);
    driver.pipe(topics::POSTS_REQUESTED, &"thanks:a".to_owned(), &post).expect("piped");
    assert!(driver.halted().is_some());
    assert_eq!(driver.committed(topics::POSTS_REQUESTED), Some(1));
}

#[test]
fn a_rule_for_a_network_that_is_not_configured_is_refused_at_start() {
    let rules = rules(MASTODON);
    let error = topology(&config(&rules, None)).expect_err("refused").to_string();
    assert_eq!(
        error,
        "rule `thanks` posts to mastodon: set MASTODON_URL and MASTODON_TOKEN, or make it a dry-run"
    );
}
