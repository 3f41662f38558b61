use std::collections::HashSet;
use std::sync::Arc;

use super::*;
use crate::bank::{Status, Transaction};
use crate::clock::ManualClock;
use crate::config::Config;
use crate::faults::Faults;
use crate::opening::furnish;

fn after(steps: u32, faults: Faults) -> World {
    let config = Config { faults, ..Config::default() };
    let clock = Arc::new(ManualClock::at(1_767_323_045_000));
    let mut world = World::new(&config, "http://bank", clock.clone());
    let now = world.now();
    furnish(&mut world.bank, config.seed, config.accounts, 0, now).unwrap();
    let mut scenario = Scenario::new(config.seed);
    for _ in 0..steps {
        clock.advance(10);
        scenario.step(&mut world);
    }
    world
}

fn all(world: &World) -> Vec<Transaction> {
    let live = world.bank.newest_first().map(|(_, transaction)| transaction.clone());
    live.chain(world.bank.deleted().iter().cloned()).collect()
}

#[test]
fn a_seed_repeats_its_day() {
    assert_eq!(all(&after(300, Faults::default())), all(&after(300, Faults::default())));
}

#[test]
fn a_day_has_everything_that_makes_reconciliation_hard() {
    let world = after(600, Faults::default());
    let all = all(&world);
    let any = |test: fn(&Transaction) -> bool| all.iter().any(test);
    assert!(any(|one| one.deleted_at.is_some()), "a deleted hold");
    assert!(any(|one| one.foreign.is_some()), "a foreign amount");
    assert!(any(|one| one.round_up.is_some()), "a round-up");
    assert!(any(|one| one.transfer_account.is_some()), "a transfer");
    assert!(any(|one| one.status == Status::Held), "a hold");
    assert!(any(|one| one.hold.as_ref().is_some_and(|hold| hold.amount > one.amount)), "a tip");
    assert!(any(|one| one.amount > 0 && one.message.is_some()), "a gift with a message");
    let ids: HashSet<_> = all.iter().map(|one| &one.id).collect();
    assert_eq!(ids.len(), all.len());
}

#[test]
fn transfers_come_in_halves_that_cancel_out() {
    let world = after(400, Faults { transfer_percent: 60, ..Faults::default() });
    let halves = all(&world).into_iter().filter(|one| one.transfer_account.is_some());
    assert_eq!(halves.map(|half| half.amount).sum::<i64>(), 0);
}
