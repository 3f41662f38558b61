//! The books against a model of the bank: whatever happens there, and however its events arrive.

#![expect(clippy::arithmetic_side_effects, reason = "amounts of the model are small")]

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::version::{Origin, Standing};

/// Books as the processor keeps them: a page and rows.
#[derive(Clone, Debug, PartialEq)]
struct Ledger {
    page: Account,
    rows: BTreeMap<String, Entry>,
}

impl Ledger {
    fn open(snapshot: Snapshot) -> Self {
        let Opened { account, entries } = snapshot.open(0).expect("model amounts are small");
        Self { page: account, rows: entries }
    }

    fn book(&mut self, id: &str, sighting: &Sighting) {
        let row = self.rows.get(id).copied();
        match self.page.book(row, sighting, 0).expect("model amounts are small") {
            Booking::Booked(page, entry) => {
                self.page = page;
                self.rows.insert(id.to_owned(), entry);
            }
            Booking::Known | Booking::GoneBeforeOpening => {}
        }
    }

    fn balance(&self) -> i64 {
        self.page.books.ledger_balance().expect("model amounts are small")
    }
}

// ---- the model bank ------------------------------------------------------------------------------

/// What the bank does in one step.
#[derive(Clone, Debug)]
enum Step {
    Hold { amount: i64 },
    Pay { amount: i64 },
    Amend { pick: usize, amount: i64 },
    Settle { pick: usize, tip: i64 },
    Expire { pick: usize },
}

/// How a step's event travels: each delivery asks the bank after `delay` steps and reaches the books
/// by its `rank` among all deliveries.
#[derive(Clone, Debug)]
struct Travel {
    lost: bool,
    deliveries: Vec<(usize, u16)>,
}

/// The bank's transactions at one moment.
#[derive(Clone, Debug, Default)]
struct Bank {
    initial: i64,
    live: BTreeMap<String, Sighting>,
}

const STEP_MS: Timestamp = 10;

fn time_of(step: usize) -> Timestamp {
    Timestamp::try_from(step).expect("few steps") * STEP_MS
}

impl Bank {
    /// Does the step; answers the transaction whose event goes out.
    fn act(&mut self, at: usize, step: &Step) -> Option<(String, bool)> {
        match *step {
            Step::Hold { amount } => Some(self.put(at, "HELD", amount)),
            Step::Pay { amount } => Some(self.put(at, "SETTLED", amount)),
            Step::Amend { pick, amount } => self.held(pick).map(|(id, held)| {
                held.version.amount = amount;
                (id, false)
            }),
            Step::Settle { pick, tip } => self.held(pick).map(|(id, held)| {
                held.version.standing = Standing::Settled;
                held.version.amount -= tip;
                (id, false)
            }),
            Step::Expire { pick } => {
                let id = self.held(pick)?.0;
                self.live.remove(&id);
                Some((id, true))
            }
        }
    }

    fn put(&mut self, at: usize, status: &str, amount: i64) -> (String, bool) {
        let id = format!("transaction-{at}");
        let seen = sighting(status, amount, time_of(at), 0);
        self.live.insert(id.clone(), seen);
        (id, false)
    }

    fn held(&mut self, pick: usize) -> Option<(String, &mut Sighting)> {
        let held = |seen: &Sighting| seen.version.standing == Standing::Held;
        let count = self.live.values().filter(|seen| held(seen)).count();
        let nth = pick.checked_rem(count)?;
        let found = self.live.iter_mut().filter(|(_, seen)| held(seen)).nth(nth);
        found.map(|(id, seen)| (id.clone(), seen))
    }

    fn sum(&self, standing: Standing) -> i64 {
        let of = self.live.values().filter(|seen| seen.version.standing == standing);
        of.map(|seen| seen.version.amount).sum()
    }

    fn balance(&self) -> i64 {
        self.initial + self.sum(Standing::Held) + self.sum(Standing::Settled)
    }

    fn look(&self, id: &str, observed_at: Timestamp) -> Option<Sighting> {
        let mut seen = self.live.get(id)?.clone();
        seen.version.observed_at = observed_at;
        Some(seen)
    }

    fn snapshot(&self, at: Timestamp) -> Snapshot {
        let listed = self.live.keys().filter_map(|id| Some((id.clone(), self.look(id, at)?)));
        Snapshot {
            currency: "AUD".to_owned(),
            opened_at: at,
            confirmed: Observation { observed_at: at, balance: self.balance() },
            listed: listed.collect(),
        }
    }
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (-5_000..0_i64).prop_map(|amount| Step::Hold { amount }),
        2 => (-5_000..5_000_i64).prop_map(|amount| Step::Pay { amount }),
        1 => (any::<usize>(), -5_000..0_i64).prop_map(|(pick, amount)| Step::Amend { pick, amount }),
        3 => (any::<usize>(), 0..500_i64).prop_map(|(pick, tip)| Step::Settle { pick, tip }),
        2 => any::<usize>().prop_map(|pick| Step::Expire { pick }),
    ]
}

fn travels() -> impl Strategy<Value = Travel> {
    let deliveries = prop::collection::vec((0..30_usize, any::<u16>()), 1..4);
    (any::<bool>(), deliveries).prop_map(|(lost, deliveries)| Travel { lost, deliveries })
}

/// A bank's life: what it did, how the events travelled, when the account was opened in the books.
fn lives() -> impl Strategy<Value = (i64, Vec<(Step, Travel)>, usize)> {
    (1..40_usize).prop_flat_map(|length| {
        let life = prop::collection::vec((steps(), travels()), length);
        (-100_000..100_000_i64, life, 0..=length)
    })
}

/// The states of the bank after each step, and the sightings of its events in order of delivery.
fn live(
    initial: i64,
    life: &[(Step, Travel)],
    opened_after: usize,
) -> (Vec<Bank>, Vec<(String, Sighting)>) {
    let mut states = vec![Bank { initial, ..Bank::default() }];
    let mut events = Vec::new();
    for (index, (step, travel)) in life.iter().enumerate() {
        let mut bank = states.last().expect("never empty").clone();
        if let Some((id, deleted)) = bank.act(index + 1, step) {
            // what the opening's list covers needs no event
            let covered = index < opened_after;
            if !(covered && travel.lost) {
                events.push((index + 1, id, deleted, travel));
            }
        }
        states.push(bank);
    }
    let mut arrivals = Vec::new();
    for (step, id, deleted, travel) in events {
        for &(delay, rank) in &travel.deliveries {
            let asked = (step + delay).min(states.len() - 1);
            // between two steps, and never at the very time of the opening
            let observed_at = time_of(step + delay) + 1 + Timestamp::from(rank % 7);
            let answer = match (deleted, &states[asked]) {
                (true, _) => {
                    Some(Sighting { version: Version::deleted(observed_at), origin: None })
                }
                (false, bank) => bank.look(&id, observed_at),
            };
            arrivals.extend(answer.map(|seen| (rank, id.clone(), seen)));
        }
    }
    arrivals.sort_by_key(|(rank, ..)| *rank);
    (states, arrivals.into_iter().map(|(_, id, seen)| (id, seen)).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn the_books_end_at_the_banks_balance_for_any_life_and_any_travel_of_its_events(
        (initial, life, opened_after) in lives(),
    ) {
        let (states, arrivals) = live(initial, &life, opened_after);
        // the opening sees the state after `opened_after` steps, late in that step
        let mut ledger = Ledger::open(states[opened_after].snapshot(time_of(opened_after) + 9));
        prop_assert_eq!(ledger.page.difference(), Ok(0));
        for (id, seen) in &arrivals {
            ledger.book(id, seen);
        }
        let bank = states.last().expect("never empty");
        prop_assert_eq!(ledger.balance(), bank.balance());
        prop_assert_eq!(ledger.page.books.held, bank.sum(Standing::Held));
        let count = i64::try_from(bank.live.len()).expect("few transactions");
        prop_assert_eq!(ledger.page.books.transactions, count);
    }

    #[test]
    fn the_books_are_the_same_for_any_order_and_repetition(
        (before, after) in arbitrary_sightings().prop_flat_map(|seen| {
            let twice = [seen.clone(), seen.clone()].concat();
            (Just(seen), Just(twice).prop_shuffle())
        }),
        listed in arbitrary_sightings(),
    ) {
        let open = || Ledger::open(Snapshot {
            currency: "AUD".to_owned(),
            opened_at: 50,
            confirmed: Observation { observed_at: 50, balance: 1_000 },
            listed: listed.clone(),
        });
        let (mut one, mut other) = (open(), open());
        for (id, seen) in &before {
            one.book(id, seen);
        }
        for (id, seen) in &after {
            other.book(id, seen);
        }
        prop_assert_eq!(&one, &other);
        // and the sums are those of the rows, nothing else
        let live = one.rows.values().filter(|row| row.version.standing != Standing::Deleted);
        let sum: i64 = live.map(|row| row.version.amount).sum();
        prop_assert_eq!(one.balance(), one.page.books.opening + sum);
    }

    #[test]
    fn the_newest_look_at_the_bank_wins_in_any_order(
        looks in prop::collection::vec((0..20_i64, -9..9_i64), 1..12).prop_flat_map(|looks| {
            (Just(looks.clone()), Just(looks).prop_shuffle())
        }),
    ) {
        let last = |looks: &[(i64, i64)]| {
            looks.iter().fold(page(), |page, &(observed_at, balance)| {
                let look = Observation { observed_at, balance };
                page.observe(look, "AUD", 0).expect("small").unwrap_or(page)
            }).bank
        };
        prop_assert_eq!(last(&looks.0), last(&looks.1));
    }
}

/// Versions that no bank would send together: the order must not matter even then.
fn arbitrary_sightings() -> impl Strategy<Value = Vec<(String, Sighting)>> {
    let standing =
        prop_oneof![Just(Standing::Held), Just(Standing::Settled), Just(Standing::Deleted)];
    let one = (0..4_u8, standing, 0..100_i64, 0..100_i64, -500..500_i64);
    let one = one.prop_map(|(id, standing, observed_at, created_at, amount)| {
        let sighting = match standing {
            Standing::Deleted => Sighting::deleted(observed_at),
            Standing::Held | Standing::Settled => Sighting {
                version: Version { standing, observed_at, amount },
                origin: Some(Origin { created_at, currency: "AUD".to_owned() }),
            },
        };
        (format!("transaction-{id}"), sighting)
    });
    prop::collection::vec(one, 0..12)
}

fn sighting(status: &str, amount: i64, created_at: Timestamp, observed_at: Timestamp) -> Sighting {
    let origin = Origin { created_at, currency: "AUD".to_owned() };
    Sighting::new(status, amount, origin, observed_at).expect("known status")
}

fn page() -> Account {
    let confirmed = Observation { observed_at: 0, balance: -10 };
    let snapshot =
        Snapshot { currency: "AUD".to_owned(), opened_at: 0, confirmed, listed: Vec::new() };
    snapshot.open(0).expect("an empty account opens").account
}

// ---- single cases ----------------------------------------------------------------------------------

#[test]
fn another_currency_is_refused_from_a_transaction_a_look_and_a_list() {
    let mut foreign = sighting("HELD", -100, 1, 2);
    foreign.origin = Some(Origin { created_at: 1, currency: "IDR".to_owned() });
    let check = |error: BooksError| {
        assert_eq!(error.to_string(), "amount is in `IDR`: expected `AUD`, the account's currency");
    };
    check(page().book(None, &foreign, 0).expect_err("another currency"));
    let look = Observation { observed_at: 3, balance: 1 };
    check(page().observe(look, "IDR", 0).expect_err("another currency"));
    let listed = vec![("transaction-1".to_owned(), foreign)];
    let confirmed = Observation { observed_at: 0, balance: 0 };
    let snapshot = Snapshot { currency: "AUD".to_owned(), opened_at: 0, confirmed, listed };
    check(snapshot.open(0).expect_err("another currency"));
}

#[test]
fn the_quiet_period_begins_anew_only_when_money_moves() {
    let look = |page: &Account, observed_at, balance, now| {
        let look = Observation { observed_at, balance };
        page.observe(look, "AUD", now).expect("small").expect("newer").changed_at
    };
    let page = page();
    assert_eq!(look(&page, 1, page.bank.balance, 700), 0);
    assert_eq!(look(&page, 1, page.bank.balance + 1, 700), 700);
}

#[test]
fn an_unexplained_part_stays_until_books_and_bank_agree() {
    let seen = |amount, at| sighting("SETTLED", amount, at, at);
    let book = |page: &Account, seen: &Sighting| match page.book(None, seen, 0).expect("small") {
        Booking::Booked(page, _) => page,
        other => panic!("not booked: {other:?}"),
    };
    let look = Observation { observed_at: 5, balance: -60 };
    let lost = page().observe(look, "AUD", 5).expect("small").expect("newer");
    assert_eq!((lost.timing(), lost.unexplained), (Ok(-50), 0));
    let judged = lost.judged().expect("small");
    assert_eq!((judged.timing(), judged.unexplained), (Ok(0), -50));
    let busy = book(&judged, &seen(-7, 6));
    assert_eq!((busy.timing(), busy.unexplained), (Ok(7), -50));
    let look = Observation { observed_at: 7, balance: -67 };
    let settled = busy.observe(look, "AUD", 7).expect("small").expect("newer");
    assert_eq!((settled.timing(), settled.unexplained), (Ok(0), -50));
    let found = book(&settled, &seen(-50, 8));
    assert_eq!((found.difference(), found.unexplained), (Ok(0), 0));
}

#[test]
fn a_difference_that_does_not_fit_is_an_error_and_leaves_the_page_alone() {
    let mut page = page();
    page.books.opening = 2;
    let look = Observation { observed_at: 5, balance: i64::MIN };
    let refused = page.observe(look, "AUD", 5).expect_err("does not fit");
    assert_eq!(refused.to_string(), "sum `difference` does not fit 64 bits");
}

#[test]
fn rows_of_another_opening_say_nothing() {
    let page = page();
    let stray = Entry {
        version: Version { standing: Standing::Settled, observed_at: 9, amount: -500 },
        listed: true,
        opened_at: page.opened_at + 1,
    };
    assert_eq!(page.mended(&[stray]), Ok(Some(page.clone())));
    let booked = page.book(Some(stray), &sighting("HELD", -30, 5, 5), 0).expect("small");
    let Booking::Booked(after, entry) = booked else { panic!("not booked: {booked:?}") };
    assert_eq!((after.books.held, after.books.settled), (-30, 0));
    assert_eq!((entry.opened_at, entry.listed), (page.opened_at, false));
}

#[test]
fn sums_are_mended_from_the_rows_and_an_opening_without_all_of_its_rows_does_not_count() {
    let confirmed = Observation { observed_at: 0, balance: 100 };
    let listed = vec![("transaction-1".to_owned(), sighting("HELD", -30, 0, 0))];
    let snapshot = Snapshot { currency: "AUD".to_owned(), opened_at: 0, confirmed, listed };
    let Opened { account, entries } = snapshot.open(0).expect("small");
    let rows: Vec<Entry> = entries.values().copied().collect();
    let mut ahead = account.clone();
    ahead.books.settled = -999;
    assert_eq!(ahead.mended(&rows), Ok(Some(account)));
    assert_eq!(ahead.mended(&[]), Ok(None));
    assert_eq!(ahead.mended(&[rows[0], rows[0]]), Ok(None));
}
