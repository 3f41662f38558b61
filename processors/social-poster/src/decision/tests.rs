use std::path::Path;

use proptest::{prelude::*, sample::Index};
use schemas::Position;

use super::*;
use crate::rules;

/// 2026-01-31T12:00:00Z
const NOON: Timestamp = 1_769_860_800_000;

fn rules(text: &str) -> Vec<Rule> {
    rules::parse(Path::new("rules.toml"), text).expect("valid")
}

fn event(id: &str, change: &str, status: Option<&str>) -> TransactionEnriched {
    TransactionEnriched {
        source: "up".to_owned(),
        event_id: format!("event-{id}"),
        transaction_id: id.to_owned(),
        account_id: Some("account".to_owned()),
        change: change.to_owned(),
        transaction: status.map(transaction),
        observed_at: NOON,
        answer: None,
        raw: Position { topic: "raw".to_owned(), partition: 0, offset: 0 },
    }
}

fn transaction(status: &str) -> Transaction {
    Transaction {
        status: status.to_owned(),
        amount: 4_750,
        currency: "AUD".to_owned(),
        held_amount: None,
        foreign_amount: None,
        foreign_currency: None,
        round_up_amount: None,
        description: "@david https://evil.example".to_owned(),
        raw_text: None,
        message: None,
        category: None,
        transfer_account_id: None,
        created_at: NOON,
        settled_at: None,
    }
}

fn settled(id: &str) -> TransactionEnriched {
    event(id, "settled", Some("SETTLED"))
}

fn deleted(id: &str) -> TransactionEnriched {
    event(id, "deleted", None)
}

/// The texts of the posts that a rule's lines ask for.
fn check(lines: &str, event: &TransactionEnriched, expect: &[&str]) {
    let decision = decide(&rules(&format!("[rules.a]\n{lines}")), event, 7, Seen::default());
    let posts = decision.expect("decided").unwrap_or_default().posts;
    let texts: Vec<_> = posts.iter().map(|post| post.text.as_str()).collect();
    assert_eq!(texts, expect, "{lines}");
}

#[test]
fn a_post_tells_only_what_its_rule_asks_for() {
    let paid = settled("t");
    check("template = 'Money!'", &paid, &["Money!"]);
    check("template = '{amount}'", &paid, &["about AUD 50"]);
    check("template = '{amount}'\nround_to = 10000", &paid, &["less than AUD 100"]);
    check("template = '{amount}'\namount = 'exact'", &paid, &["AUD 47.50"]);
    check("template = 'in {currency}'", &paid, &["in AUD"]);
    check("template = 'on {date}'", &paid, &["on 2026-01-31"]);
    check("template = '{account}'\naccount_name = 'jar'", &paid, &["jar"]);
    check("template = 'from {description}'", &paid, &["from david https evil example"]);
}

#[test]
fn a_payer_cannot_write_a_template() {
    let mut paid = settled("t");
    let Some(transaction) = &mut paid.transaction else { panic!("has one") };
    transaction.description = "{amount} {account}".to_owned();
    check("template = '{description}!'", &paid, &["amount account!"]);
}

#[test]
fn only_transactions_that_meet_the_rule_are_posted_about() {
    check("template = 'a'\nminimum = 4751", &settled("t"), &[]);
    check("template = 'a'", &event("t", "created", Some("HELD")), &[]);
    check("template = 'a'\non = 'held'", &event("t", "created", Some("HELD")), &["a"]);
}

#[test]
fn old_transactions_are_no_news_where_the_rule_says_so() {
    let mut paid = settled("t");
    paid.observed_at = NOON + 3_600_000;
    check("template = 'a'\nmax_age_hours = 1", &paid, &["a"]);
    paid.observed_at += 1;
    check("template = 'a'\nmax_age_hours = 1", &paid, &[]);
    check("template = 'a'", &paid, &["a"]);
    let Some(transaction) = &mut paid.transaction else { panic!("has one") };
    transaction.settled_at = Some(paid.observed_at);
    check("template = 'a'\nmax_age_hours = 1", &paid, &["a"]);
}

#[test]
fn a_rule_that_changes_its_network_does_not_ask_again() {
    let dry_run = rules("[rules.a]\ntemplate = 'x'");
    let mastodon = rules("[rules.a]\ntemplate = 'x'\nnetwork = 'mastodon'");
    let asked = decide(&dry_run, &settled("t"), 0, Seen::default()).expect("decided");
    let seen = asked.expect("asked").seen;
    assert_eq!(decide(&mastodon, &settled("t"), 0, seen).expect("decided"), None);
}

#[test]
fn a_request_says_where_it_comes_from_and_where_it_goes() {
    let rules = rules("[rules.a]\ntemplate = 'x'\nnetwork = 'mastodon'\nvisibility = 'private'");
    let decision = decide(&rules, &settled("t"), 7, Seen::default()).expect("decided");
    insta::assert_debug_snapshot!(decision.unwrap_or_default().posts, @r#"
    [
        PostRequested {
            post_id: "a:t",
            rule: "a",
            network: "mastodon",
            text: "x",
            visibility: "private",
            transaction_id: "t",
            event_id: "event-t",
            requested_at: 7,
        },
    ]
    "#);
}

#[test]
fn records_without_what_they_must_have_are_refused() {
    let rules = rules("[rules.a]\ntemplate = '{amount} {date}'");
    let refuse = |event: &TransactionEnriched| {
        decide(&rules, event, 0, Seen::default()).expect_err("refused").to_string()
    };
    let no_account = TransactionEnriched { account_id: None, ..settled("t") };
    let with = |change: fn(&mut Transaction)| {
        let mut event = settled("t");
        event.transaction.iter_mut().for_each(change);
        event
    };
    insta::assert_snapshot!(refuse(&event("t", "settled", None)), @"change `settled` of transaction `t` comes without the transaction");
    insta::assert_snapshot!(refuse(&no_account), @"change `settled` of transaction `t` comes without its account");
    insta::assert_snapshot!(refuse(&with(|t| t.currency = "@AU".to_owned())), @"transaction `t` has no ISO 4217 currency");
    insta::assert_snapshot!(refuse(&with(|t| t.created_at = i64::MAX)), @"transaction `t` was created at 9223372036854775807 ms; expected a date");
}

proptest! {
    #[test]
    fn each_rule_asks_once_and_never_after_a_deletion_for_any_order_and_repetition(
        picks in prop::collection::vec(any::<Index>(), 1..40),
    ) {
        let rules = rules("[rules.a]\ntemplate = 'a'\n[rules.b]\ntemplate = 'b'\non = 'held'");
        let events = [event("t", "created", Some("HELD")), settled("t"), deleted("t")];
        let mut seen = Seen::default();
        let mut texts = Vec::new();
        let mut is_deleted = false;
        for event in picks.iter().map(|pick| pick.get(&events)) {
            let decision = decide(&rules, event, 0, seen.clone()).expect("decided");
            is_deleted |= event.change == "deleted";
            let Some(decision) = decision else { continue };
            seen = decision.seen;
            prop_assert!(decision.posts.is_empty() || !is_deleted);
            texts.extend(decision.posts.into_iter().map(|post| post.text));
        }
        texts.sort();
        let asked = texts.len();
        texts.dedup();
        prop_assert_eq!(texts.len(), asked);
        prop_assert_eq!(seen.is_deleted, is_deleted);
    }
}
