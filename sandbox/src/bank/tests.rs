use proptest::prelude::*;

use super::*;

fn bank() -> (Bank, String, String) {
    let mut bank = Bank::new(1);
    let new = |name: &str, kind, opening| NewAccount {
        name: name.to_owned(),
        kind,
        ownership: OwnershipType::Individual,
        opening,
    };
    let spending = bank.open(new("Spending", AccountType::Transactional, 10_000), 0).unwrap();
    let saver = bank.open(new("Saver", AccountType::Saver, 0), 0).unwrap();
    (bank, spending, saver)
}

fn balance(bank: &Bank, id: &str) -> i64 {
    bank.account(id).unwrap().balance
}

/// opening + sum of live amounts + adjusted, for every account.
fn books_balance(bank: &Bank) -> bool {
    bank.accounts().iter().all(|account| {
        let live = bank.newest_first().filter(|(_, t)| t.account == account.id);
        let sum: i64 = live.map(|(_, t)| t.amount).sum();
        account.balance == account.opening + sum + account.adjusted
    })
}

#[test]
fn a_hold_counts_at_once_and_a_tip_moves_the_rest_at_settlement() {
    let (mut bank, spending, _) = bank();
    let events = bank.record(NewTransaction::held(&spending, -2_000, "Cafe"), 5).unwrap();
    let id = &events[0].transaction;
    assert_eq!(balance(&bank, &spending), 8_000);

    let events = bank.settle(id, Some(-2_300), Settlement::InPlace, 9).unwrap();
    assert_eq!(events, [Event { kind: EventType::TransactionSettled, transaction: id.clone() }]);
    let settled = bank.transaction(id).unwrap();
    assert_eq!((settled.amount, settled.settled_at), (-2_300, Some(9)));
    assert_eq!(settled.hold.as_ref().unwrap().amount, -2_000);
    assert_eq!(balance(&bank, &spending), 7_700);
}

#[test]
fn a_deleted_hold_frees_its_money_and_is_gone() {
    let (mut bank, spending, _) = bank();
    let id = bank.record(NewTransaction::held(&spending, -500, "Hotel"), 5).unwrap()[0]
        .transaction
        .clone();
    bank.delete(&id, 6).unwrap();
    assert_eq!(balance(&bank, &spending), 10_000);
    assert_eq!(bank.transaction(&id), Err(Error::TransactionNotFound(id.clone())));
    assert_eq!(bank.delete(&id, 7), Err(Error::TransactionNotFound(id)));
    assert_eq!(bank.deleted()[0].deleted_at, Some(6));
}

#[test]
fn a_settlement_that_never_comes_is_a_deletion_and_a_creation() {
    let (mut bank, spending, _) = bank();
    let id = bank.record(NewTransaction::held(&spending, -500, "Hotel"), 5).unwrap()[0]
        .transaction
        .clone();
    let events = bank.settle(&id, None, Settlement::Recreated, 6).unwrap();
    let kinds: Vec<_> = events.iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [EventType::TransactionDeleted, EventType::TransactionCreated]);
    assert_ne!(events[1].transaction, id);
    assert_eq!(balance(&bank, &spending), 9_500);
    assert_eq!(bank.transaction(&events[1].transaction).unwrap().hold, None);
}

#[test]
fn a_round_up_is_noted_on_the_purchase_and_moves_into_the_saver() {
    let (mut bank, spending, saver) = bank();
    let new =
        NewTransaction { round_up: true, ..NewTransaction::settled(&spending, -1_292, "Books") };
    let events = bank.record(new, 5).unwrap();
    assert_eq!(events.len(), 3);
    assert_eq!(bank.transaction(&events[0].transaction).unwrap().round_up, Some(-8));
    assert_eq!((balance(&bank, &spending), balance(&bank, &saver)), (8_700, 8));
    let half = bank.transaction(&events[1].transaction).unwrap();
    assert_eq!((half.amount, half.transfer_account.as_deref()), (-8, Some(saver.as_str())));
}

#[test]
fn a_refused_operation_leaves_the_books_alone() {
    let (mut bank, spending, saver) = bank();
    bank.adjust(&saver, i64::MAX).unwrap();
    let overflow = Err(Error::Overflow(saver.clone()));
    assert_eq!(bank.transfer(&spending, &saver, 1, "x", 1), overflow);
    assert_eq!(bank.transfer(&spending, &saver, -1, "x", 1), Err(Error::NotPositive(-1)));
    let same = Err(Error::SameAccount(saver.clone()));
    assert_eq!(bank.transfer(&saver, &saver, 1, "x", 1), same);
    assert_eq!(bank.newest_first().count(), 0);
    assert_eq!(balance(&bank, &spending), 10_000);
}

#[test]
fn a_seventh_tag_is_refused_and_a_repeated_one_is_not_counted() {
    let (mut bank, spending, _) = bank();
    let id =
        bank.record(NewTransaction::settled(&spending, -1, "x"), 1).unwrap()[0].transaction.clone();
    let labels = |count: usize| (0..count).map(|n| format!("t{n}")).collect::<Vec<_>>();
    bank.tag(&id, &labels(6)).unwrap();
    bank.tag(&id, &labels(3)).unwrap();
    assert_eq!(bank.tag(&id, &labels(7)), Err(Error::TooManyTags));
    assert_eq!(bank.tag(&id, &[String::new()]), Err(Error::BadTag));
    bank.untag(&id, &["t0".to_owned(), "unknown".to_owned()]).unwrap();
    assert_eq!(bank.tags().len(), 5);
}

proptest! {
    #[test]
    fn the_books_balance_after_any_history(
        steps in proptest::collection::vec((0u8..5, -50_000i64..50_000, any::<bool>()), 1..60)
    ) {
        let (mut bank, spending, saver) = bank();
        let total = |bank: &Bank| bank.accounts().iter().map(|a| a.balance).sum::<i64>();
        for (now, (step, amount, flag)) in (1..).zip(steps) {
            let held = bank.newest_first().map(|(_, t)| t).find(|t| t.status == Status::Held);
            let held = held.map(|t| t.id.clone());
            let how = if flag { Settlement::Recreated } else { Settlement::InPlace };
            let before = total(&bank);
            match (step, held) {
                (0, _) => {
                    let new = NewTransaction::held(&spending, amount, "m");
                    bank.record(NewTransaction { round_up: flag, ..new }, now).unwrap();
                }
                (1, Some(id)) => { bank.settle(&id, Some(amount), how, now).unwrap(); }
                (2, Some(id)) => { bank.delete(&id, now).unwrap(); }
                (3, _) if amount > 0 => {
                    bank.transfer(&spending, &saver, amount, "t", now).unwrap();
                    prop_assert_eq!(total(&bank), before, "a transfer makes no money");
                }
                _ => { bank.adjust(&saver, amount).unwrap(); }
            }
            prop_assert!(books_balance(&bank));
        }
    }
}
