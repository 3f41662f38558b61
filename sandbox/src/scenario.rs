//! A day of money: one seeded step after the other.
//!
//! What a step does follows from the seed and the steps before it, never from the time, so that a
//! run can be repeated.

mod merchants;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use self::merchants::{CURRENCIES, GIVERS, MERCHANTS};
use crate::bank::{AccountType, CardMethod, Money, NewTransaction, Settlement};
use crate::control::Day;
use crate::dispatch::Course;
use crate::ids::{self, Purpose, strikes};
use crate::world::{Shared, World};

/// A receiver that is away is not buried: the day waits while so many deliveries wait.
const BACKLOG_MAX: usize = 10_000;
/// Holds the day keeps in mind; older ones stay held.
const HOLDS_MAX: usize = 500;

/// The state of a generated day.
#[derive(Debug)]
pub struct Scenario {
    rng: Rng,
    holds: VecDeque<Held>,
}

#[derive(Debug)]
struct Held {
    id: String,
    amount: i64,
    foreign: bool,
}

impl Scenario {
    /// A day that follows from `seed`.
    pub fn new(seed: u64) -> Self {
        Self { rng: ids::generator(seed, Purpose::Scenario), holds: VecDeque::new() }
    }

    /// Makes one thing happen. What the bank refuses (a hold that somebody else deleted) is passed
    /// over.
    pub fn step(&mut self, world: &mut World) {
        let done = if strikes(&mut self.rng, world.faults.transfer_percent) {
            self.transfer(world)
        } else {
            match self.rng.u8(0..100) {
                0..50 => self.purchase(world),
                50..78 => self.end_of_hold(world),
                78..96 => self.gift(world),
                _ => self.salary(world),
            }
        };
        if done.is_none() {
            tracing::debug!("a step of the day was passed over");
        }
    }

    fn spender(&mut self, world: &World) -> Option<String> {
        let own = world.bank.accounts().iter();
        let spending: Vec<_> =
            own.filter(|account| account.kind == AccountType::Transactional).collect();
        self.rng.choice(spending).map(|account| account.id.clone())
    }

    fn purchase(&mut self, world: &mut World) -> Option<()> {
        let account = self.spender(world)?;
        let merchant = self.rng.choice(MERCHANTS)?;
        let amount = -self.rng.i64(merchant.cents.0..=merchant.cents.1);
        let foreign = strikes(&mut self.rng, world.faults.foreign_percent);
        let foreign = foreign.then(|| self.abroad(amount)).flatten();
        let new = NewTransaction {
            raw_text: Some(merchant.raw_text.to_owned()),
            category: Some(merchant.category.to_owned()),
            card: Some(if foreign.is_some() { CardMethod::Ecommerce } else { merchant.card }),
            method: Some("Purchase".to_owned()),
            round_up: strikes(&mut self.rng, world.faults.round_up_percent),
            foreign,
            ..NewTransaction::held(&account, amount, merchant.name)
        };
        let foreign = new.foreign.is_some();
        let events = world.apply(Course::Faults, |bank, now| bank.record(new, now)).ok()?;
        let id = events.first()?.transaction.clone();
        if self.holds.len() >= HOLDS_MAX {
            self.holds.pop_front();
        }
        self.holds.push_back(Held { id, amount, foreign });
        Some(())
    }

    fn abroad(&mut self, amount: i64) -> Option<Money> {
        let (currency, per_hundred) = *self.rng.choice(CURRENCIES)?;
        let base_units = amount.checked_mul(per_hundred)? / 100;
        Some(Money { currency: currency.to_owned(), base_units })
    }

    fn end_of_hold(&mut self, world: &mut World) -> Option<()> {
        let Some(held) = self.holds.pop_front() else { return self.purchase(world) };
        let rng = &mut self.rng;
        if strikes(rng, world.faults.deleted_percent) {
            world.apply(Course::Faults, |bank, now| bank.delete(&held.id, now)).ok()?;
            return Some(());
        }
        let recreated = strikes(rng, world.faults.recreated_percent);
        let how = if recreated { Settlement::Recreated } else { Settlement::InPlace };
        let percent = if held.foreign {
            // The exchange rate moved between the hold and its settlement.
            rng.i64(97..=103)
        } else if strikes(rng, world.faults.tip_percent) {
            rng.i64(105..=120)
        } else {
            100
        };
        let amount = held.amount.checked_mul(percent)? / 100;
        world
            .apply(Course::Faults, |bank, now| bank.settle(&held.id, Some(amount), how, now))
            .ok()?;
        Some(())
    }

    fn transfer(&mut self, world: &mut World) -> Option<()> {
        let from = self.spender(world)?;
        let others = world.bank.accounts().iter().filter(|account| account.id != from);
        let to = self.rng.choice(others.collect::<Vec<_>>())?.id.clone();
        let amount = 500 * self.rng.i64(1..=20);
        let text = "Pocket money moved";
        world
            .apply(Course::Faults, |bank, now| bank.transfer(&from, &to, amount, text, now))
            .ok()?;
        Some(())
    }

    fn gift(&mut self, world: &mut World) -> Option<()> {
        let account = self.spender(world)?;
        let (giver, message) = *self.rng.choice(GIVERS)?;
        let new = NewTransaction {
            message: Some(message.to_owned()),
            method: Some("Osko Payment".to_owned()),
            ..NewTransaction::settled(&account, 50 * self.rng.i64(1..=20), giver)
        };
        world.apply(Course::Faults, |bank, now| bank.record(new, now)).ok()?;
        Some(())
    }

    fn salary(&mut self, world: &mut World) -> Option<()> {
        let account = self.spender(world)?;
        let new = NewTransaction {
            raw_text: Some("SALARY BLUE HERON PTY LTD".to_owned()),
            method: Some("Direct Credit".to_owned()),
            ..NewTransaction::settled(&account, self.rng.i64(80_000..160_000), "Blue Heron")
        };
        world.apply(Course::Faults, |bank, now| bank.record(new, now)).ok()?;
        Some(())
    }
}

/// Runs a day of `day.rate * day.seconds` steps, until its end or `stop`.
pub async fn run(shared: Arc<Shared>, seed: u64, day: Day, stop: CancellationToken) {
    let mut scenario = Scenario::new(seed);
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / day.rate.max(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut left = u64::from(day.rate).saturating_mul(day.seconds);
    while left > 0 {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = ticks.tick() => {}
        }
        left -= shared.with(|world| {
            let has_room = world.outbox.waiting() < BACKLOG_MAX;
            if has_room {
                scenario.step(world);
            }
            u64::from(has_room)
        });
    }
    shared.with(|world| world.scenario_running = false);
    tracing::info!(steps_left = left, "the generated day is over");
}

#[cfg(test)]
mod tests;
