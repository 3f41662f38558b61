use std::{collections::BTreeMap, path::Path};

use proptest::{prelude::*, sample::Index};
use schemas::Position;

use super::*;
use crate::rules;

const RULES: &str = "
    [rules.jar]
    currency = 'AUD'
    price = 200
    [rules.large]
    currency = 'AUD'
    price = 700
    minimum = 500
    on = 'held'
";

/// The store, in memory.
#[derive(Debug, Default)]
struct Books {
    seen: BTreeMap<String, Seen>,
    carries: BTreeMap<CarryKey, i64>,
    triggers: Vec<CoinTrigger>,
}

impl Books {
    fn apply(&mut self, rules: &[Rule], event: &TransactionEnriched) {
        let seen = self.seen.get(&event.transaction_id).cloned().unwrap_or_default();
        let carry = |key: &CarryKey| Ok(self.carries.get(key).copied().unwrap_or_default());
        let decision = decide::<DecisionError>(rules, event, 7, seen, carry).expect("decided");
        let Some(decision) = decision else { return };
        self.seen.insert(event.transaction_id.clone(), decision.seen);
        self.carries.extend(decision.carries);
        self.triggers.extend(decision.triggers);
    }

    fn coins(&self, rule: &str) -> i64 {
        let signed = |trigger: &CoinTrigger| match trigger {
            CoinTrigger::CoinTriggerFired(t) if t.rule == rule => t.coins,
            CoinTrigger::CoinTriggerReversed(t) if t.rule == rule => -t.coins,
            _ => 0,
        };
        self.triggers.iter().map(signed).sum()
    }

    fn carry(&self, rule: &str) -> i64 {
        let key = CarryKey { rule: rule.to_owned(), account_id: "account".to_owned() };
        self.carries.get(&key).copied().unwrap_or_default()
    }
}

fn rules() -> Vec<Rule> {
    rules::parse(Path::new("rules.toml"), RULES).expect("valid")
}

fn event(id: &str, change: &str, version: Option<(&str, i64)>) -> TransactionEnriched {
    TransactionEnriched {
        source: "up".to_owned(),
        event_id: format!("event-{id}-{change}"),
        transaction_id: id.to_owned(),
        account_id: Some("account".to_owned()),
        change: change.to_owned(),
        transaction: version.map(|(status, amount)| transaction(status, amount)),
        observed_at: 0,
        answer: None,
        raw: Position { topic: "raw".to_owned(), partition: 0, offset: 0 },
    }
}

fn transaction(status: &str, amount: i64) -> Transaction {
    Transaction {
        status: status.to_owned(),
        amount,
        currency: "AUD".to_owned(),
        held_amount: None,
        foreign_amount: None,
        foreign_currency: None,
        round_up_amount: None,
        description: "David".to_owned(),
        raw_text: None,
        message: None,
        category: None,
        transfer_account_id: None,
        created_at: 0,
        settled_at: None,
    }
}

fn settled(id: &str, amount: i64) -> TransactionEnriched {
    event(id, "settled", Some(("SETTLED", amount)))
}

fn held(id: &str, amount: i64) -> TransactionEnriched {
    event(id, "created", Some(("HELD", amount)))
}

fn deleted(id: &str) -> TransactionEnriched {
    event(id, "deleted", None)
}

/// Applies the events; compares (coins, carry-over) of both rules.
fn check(events: &[TransactionEnriched], jar: (i64, i64), large: (i64, i64)) -> Books {
    let rules = rules();
    let mut books = Books::default();
    for event in events {
        books.apply(&rules, event);
    }
    assert_eq!((books.coins("jar"), books.carry("jar")), jar, "jar {books:?}");
    assert_eq!((books.coins("large"), books.carry("large")), large, "large {books:?}");
    books
}

#[test]
fn the_rest_is_carried_to_the_next_transaction() {
    check(&[settled("a", 350)], (1, 150), (0, 0));
    check(&[settled("a", 350), settled("b", 60)], (2, 10), (0, 0));
    check(&[settled("a", 500), settled("b", 900)], (7, 0), (2, 0));
}

#[test]
fn a_repeated_event_drops_nothing() {
    let books = check(&[settled("a", 600), settled("a", 600)], (3, 0), (0, 600));
    assert_eq!(books.triggers.len(), 1);
}

#[test]
fn a_hold_drops_where_the_rule_says_so_and_its_settlement_drops_nothing_more() {
    check(&[held("a", 700)], (0, 0), (1, 0));
    check(&[held("a", 700), settled("a", 700)], (3, 100), (1, 0));
    check(&[settled("a", 700), held("a", 700)], (3, 100), (1, 0));
}

#[test]
fn an_amount_amended_later_neither_drops_nor_carries() {
    check(&[settled("a", 350), settled("a", 950)], (1, 150), (1, 250));
    check(&[held("a", 700), settled("a", 800)], (4, 0), (1, 0));
}

#[test]
fn a_deletion_takes_back_coins_and_carry_over() {
    check(&[settled("a", 350), deleted("a")], (0, 0), (0, 0));
    check(&[settled("a", 350), settled("b", 60), deleted("b")], (1, 150), (0, 0));
    let books = check(&[settled("a", 350), deleted("a"), deleted("a")], (0, 0), (0, 0));
    assert_eq!(books.triggers.len(), 2);
}

#[test]
fn a_deletion_below_what_others_dropped_leaves_a_debt() {
    let start = [settled("a", 150), settled("b", 60), deleted("a")];
    check(&start, (1, -140), (0, 0));
    check(&[&start[..], &[settled("c", 240)]].concat(), (1, 100), (0, 0));
}

#[test]
fn a_deletion_seen_first_forbids_every_later_version() {
    let books = check(&[deleted("a"), held("a", 900), settled("a", 900)], (0, 0), (0, 0));
    assert_eq!(books.triggers, []);
}

#[test]
fn a_reversal_knows_the_rule_as_it_was() {
    let mut books = Books::default();
    books.apply(&rules(), &settled("a", 1_000));
    let cheaper = RULES.replace("price = 200", "price = 100").replace("rules.large", "rules.huge");
    let cheaper = rules::parse(Path::new("rules.toml"), &cheaper).expect("valid");
    books.apply(&cheaper, &deleted("a"));
    assert_eq!((books.coins("jar"), books.carry("jar")), (0, 0));
    assert_eq!((books.coins("large"), books.carry("large")), (0, 0));
}

#[test]
fn a_trigger_says_what_it_was_computed_from() {
    let books = check(&[settled("a", 350), settled("b", 60)], (2, 10), (0, 0));
    insta::assert_debug_snapshot!(books.triggers.last(), @r#"
    Some(
        CoinTriggerFired(
            CoinTriggerFired {
                trigger_id: "jar:b",
                rule: "jar",
                transaction_id: "b",
                account_id: "account",
                amount: 60,
                currency: "AUD",
                price: 200,
                coins: 1,
                carried_in: 150,
                carried_out: 10,
                event_id: "event-b-settled",
                fired_at: 7,
            },
        ),
    )
    "#);
}

#[test]
fn records_without_what_they_must_have_are_refused() {
    let refuse = |event: &TransactionEnriched| {
        decide::<DecisionError>(&rules(), event, 0, Seen::default(), |_| Ok(i64::MAX))
            .expect_err("refused")
            .to_string()
    };
    let no_account = TransactionEnriched { account_id: None, ..settled("a", 5) };
    insta::assert_snapshot!(refuse(&event("a", "settled", None)), @"change `settled` of transaction `a` comes without the transaction");
    insta::assert_snapshot!(refuse(&no_account), @"change `settled` of transaction `a` comes without its account");
    insta::assert_snapshot!(refuse(&settled("a", 5)), @"counting transaction `a` for rule `jar` exceeds 64 bits");
}

/// Transactions of a bank: amount, and whether each ends deleted.
fn history() -> impl Strategy<Value = Vec<(i64, bool)>> {
    prop::collection::vec((1_i64..2_000, any::<bool>()), 1..12)
}

proptest! {
    #[test]
    fn coins_and_carry_over_are_the_sum_of_what_counts_for_any_order_and_repetition(
        history in history(),
        picks in prop::collection::vec(any::<Index>(), 0..80),
        order in any::<prop::sample::Selector>(),
    ) {
        let mut events = Vec::new();
        for (number, (amount, is_deleted)) in history.iter().enumerate() {
            let id = format!("transaction-{number}");
            events.push(held(&id, *amount));
            events.push(settled(&id, *amount));
            if *is_deleted {
                events.push(deleted(&id));
            }
        }
        let repeated: Vec<_> = picks.iter().map(|pick| pick.get(&events).clone()).collect();
        events.extend(repeated);
        let mut shuffled = Vec::new();
        while !events.is_empty() {
            let next = order.select(0..events.len());
            shuffled.push(events.swap_remove(next));
        }

        let rules = rules();
        let mut books = Books::default();
        for event in &shuffled {
            books.apply(&rules, event);
        }

        let live = |minimum: i64| -> i64 {
            history.iter().filter(|(a, gone)| !gone && *a >= minimum).map(|(a, _)| a).sum()
        };
        prop_assert_eq!(books.coins("jar") * 200 + books.carry("jar"), live(1));
        prop_assert_eq!(books.coins("large") * 700 + books.carry("large"), live(500));

        let mut ids: Vec<_> = books.triggers.iter().map(|trigger| match trigger {
            CoinTrigger::CoinTriggerFired(t) => (&t.trigger_id, true),
            CoinTrigger::CoinTriggerReversed(t) => (&t.trigger_id, false),
        }).collect();
        let emitted = ids.len();
        ids.sort();
        ids.dedup();
        prop_assert_eq!(ids.len(), emitted, "a trigger fires once and is reversed once");
    }
}
