//! Whatever the bank does, however its events travel and whenever the process dies: in the end the
//! books are the bank's.

use proptest::prelude::*;

use super::*;

/// What happens next.
#[derive(Clone, Debug)]
enum Act {
    /// The bank holds or moves money.
    Put { status: &'static str, amount: i64 },
    /// A held transaction settles for a little more.
    Settle { pick: usize, tip: i64 },
    /// A held transaction expires.
    Expire { pick: usize },
    /// An event that is on its way arrives; it may arrive again.
    Arrive { pick: usize, again: bool },
    /// The bank's balance arrives.
    Look,
    /// From here on nothing is committed until the next restart.
    HoldCommits,
    /// The process dies and comes back.
    Restart,
}

fn acts() -> impl Strategy<Value = Act> {
    let put = |status| (-900..0_i64).prop_map(move |amount| Act::Put { status, amount });
    prop_oneof![
        3 => put("HELD"),
        2 => put("SETTLED"),
        2 => (any::<usize>(), 0..90_i64).prop_map(|(pick, tip)| Act::Settle { pick, tip }),
        2 => any::<usize>().prop_map(|pick| Act::Expire { pick }),
        6 => (any::<usize>(), any::<bool>()).prop_map(|(pick, again)| Act::Arrive { pick, again }),
        2 => Just(Act::Look),
        1 => Just(Act::HoldCommits),
        1 => Just(Act::Restart),
    ]
}

/// The application, its bank, and the events between them.
struct Life {
    app: App,
    /// Transaction, and whether the event is its deletion.
    under_way: Vec<(String, bool)>,
    made: usize,
}

impl Life {
    /// With `blocked`, a record of another account waits at the front of one topic from the start,
    /// so that none of the topic's offsets is ever committed.
    fn begin(blocked: bool, guarantee: Guarantee) -> Self {
        let mut app = App::under(guarantee);
        if blocked {
            let wait = Duration::from_hours(1_000);
            app.bank.fail("account-2", BankError::RateLimited { reset_at: 0, wait });
            let mut other = enriched("SETTLED", -1, app.driver.now());
            other.account_id = Some("account-2".to_owned());
            app.pipe(&other);
        }
        Self { app, under_way: Vec::new(), made: 0 }
    }

    fn act(&mut self, act: &Act) {
        self.app.tick();
        match *act {
            Act::Put { status, amount } => {
                self.made += 1;
                self.put(&format!("transaction-{}", self.made), status, amount);
            }
            Act::Settle { pick, tip } => {
                if let Some((id, amount)) = self.take_held(pick) {
                    self.put(&id, "SETTLED", amount - tip);
                }
            }
            Act::Expire { pick } => {
                if let Some((id, _)) = self.take_held(pick) {
                    self.under_way.push((id, true));
                }
            }
            Act::Arrive { pick, again } => self.arrive(pick, again),
            Act::Look => self.app.look(self.app.bank.balance()),
            Act::HoldCommits => self.app.driver.hold_commits(),
            Act::Restart => self.app.driver.restart().expect("restarts"),
        }
    }

    fn put(&mut self, id: &str, status: &str, amount: i64) {
        let bank = &self.app.bank;
        bank.list(id, status, amount, self.app.driver.now());
        bank.set_balance(bank.balance() + amount);
        self.under_way.push((id.to_owned(), false));
    }

    /// Takes a held transaction and its amount off the bank.
    fn take_held(&mut self, pick: usize) -> Option<(String, i64)> {
        let bank = &self.app.bank;
        let held = bank.held();
        let id = held.get(pick.checked_rem(held.len())?)?;
        let amount = bank.listed(id)?.amount.amount;
        bank.unlist(id);
        bank.set_balance(bank.balance() - amount);
        Some((id.clone(), amount))
    }

    /// The enricher asks the bank about an event now, and finds nothing after a deletion.
    fn arrive(&mut self, pick: usize, again: bool) {
        let Some(index) = pick.checked_rem(self.under_way.len()) else { return };
        let (id, is_deleted) = self.under_way[index].clone();
        if !again {
            self.under_way.swap_remove(index);
        }
        if is_deleted {
            self.app.deletion(&id);
        } else if let Some(found) = self.app.bank.listed(&id) {
            let mut record = enriched(&found.status, found.amount.amount, self.app.driver.now());
            record.transaction_id = id;
            let transaction = record.transaction.as_mut().expect("it exists");
            transaction.created_at = found.created_at;
            self.app.pipe(&record);
        }
    }

    /// Everything that is under way arrives; the last statement of all.
    fn end(mut self) -> Said {
        while !self.under_way.is_empty() {
            self.app.tick();
            self.arrive(0, false);
        }
        self.app.look(self.app.bank.balance());
        self.app.driver.restart().expect("restarts");
        self.app.driver.advance(QUIET);
        self.app.last_said().expect("a look was the last record at least")
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn the_books_end_at_the_banks_balance_for_any_life_with_any_restarts(
        life in prop::collection::vec(acts(), 1..40),
        blocked in any::<bool>(),
        guarantee in prop_oneof![Just(Guarantee::ExactlyOnce), Just(Guarantee::AtLeastOnce)],
    ) {
        let mut lived = Life::begin(blocked, guarantee);
        for act in &life {
            lived.act(act);
        }
        let balance = lived.app.bank.balance();
        prop_assert_eq!(lived.end(), said(balance, balance, 0, "balanced"));
    }
}
