use super::super::Balance;
use super::*;
use crate::pipeline::Account;

fn truth() -> Truth {
    let account = Account { id: "a".to_owned(), name: "Spending".to_owned(), balance: 1_000 };
    Truth { accounts: vec![account], transactions: Vec::new() }
}

fn event(id: &str, fate: &str) -> Event {
    let kind = "TRANSACTION_CREATED".to_owned();
    Event { id: id.to_owned(), kind, transaction: None, fate: fate.to_owned() }
}

fn balance(unexplained: i64, status: &str) -> Balance {
    let status = status.to_owned();
    Balance {
        bank: 1_000,
        ledger: 1_000 - unexplained,
        difference: unexplained,
        unexplained,
        status,
    }
}

fn totals(events: &[&str], balance: Option<Balance>) -> Totals {
    Totals {
        events: events.iter().map(|id| (*id).to_owned()).collect(),
        balances: balance.map(|balance| ("a".to_owned(), balance)).into_iter().collect(),
        ..Totals::default()
    }
}

fn lost(amount: i64) -> Lost {
    Lost { transaction: "t".to_owned(), account: "a".to_owned(), amount }
}

#[track_caller]
fn check(totals: &Totals, lost: Option<Lost>, lag: i64, expect: &[&str]) {
    let events = [event("1", "delivered"), event("2", "lost")];
    let summary = Summary::new(&truth(), &events, totals, Received::default(), lost, lag);
    assert_eq!(summary.findings, expect);
    assert_eq!(summary.ok, expect.is_empty());
}

#[test]
fn a_day_that_agrees_with_the_bank_has_no_findings() {
    check(&totals(&["1"], Some(balance(0, "balanced"))), None, 0, &[]);
}

#[test]
fn an_output_that_is_there_twice_is_found() {
    let mut totals = totals(&["1"], Some(balance(0, "balanced")));
    totals.decided.insert("post 1".to_owned(), 1);
    totals.decided.insert("post 2".to_owned(), 2);
    check(&totals, None, 0, &["outputs that are there twice: post 2"]);
}

#[test]
fn a_lost_webhook_must_show_as_exactly_its_amount() {
    check(&totals(&["1"], Some(balance(-42, "unexplained"))), Some(lost(-42)), 0, &[]);
    check(
        &totals(&["1"], Some(balance(0, "balanced"))),
        Some(lost(-42)),
        0,
        &["Spending: 0 is unexplained, -42 was lost"],
    );
}

#[test]
fn every_deviation_is_a_finding() {
    check(
        &totals(&[], Some(balance(0, "balanced"))),
        None,
        0,
        &["1 delivered events are not on the raw topic"],
    );
    check(
        &totals(&["1", "x"], Some(balance(0, "balanced"))),
        None,
        3,
        &["1 events on the raw topic are not the bank's", "3 records are not processed"],
    );
    check(&totals(&["1"], None), None, 0, &["Spending: never reconciled"]);
    check(&totals(&["1"], Some(balance(0, "timing"))), None, 0, &["Spending: still moving"]);
}

#[test]
fn a_post_without_an_outcome_is_a_finding() {
    let mut totals = totals(&["1"], Some(balance(0, "balanced")));
    totals.requested.insert("p".to_owned());
    check(&totals, None, 0, &["1 posts have no outcome"]);
    totals.published.insert("p".to_owned(), "dry-run".to_owned());
    check(&totals, None, 0, &[]);
}
