//! Whatever the order and repetition of events, the highest version told is what the bank holds.

use proptest::prelude::*;

use super::Desk;

const TRANSACTIONS: usize = 3;

/// One thing that happens.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The bank moves a transaction to its next state.
    Bank(usize),
    /// One of the events the bank has announced so far arrives, perhaps again.
    Arrival(usize),
    /// The process dies and comes back.
    Restart,
}

/// Where a transaction of the bank can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Unborn,
    Held,
    Settled,
    Deleted,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..TRANSACTIONS).prop_map(Step::Bank),
        8 => any::<usize>().prop_map(Step::Arrival),
        1 => Just(Step::Restart),
    ]
}

struct World {
    desk: Desk,
    stages: [Stage; TRANSACTIONS],
    /// Whether each transaction is deleted, not settled, in the end.
    is_doomed: [bool; TRANSACTIONS],
    announced: Vec<(String, &'static str, String)>,
}

impl World {
    fn new(is_doomed: [bool; TRANSACTIONS]) -> Self {
        let stages = [Stage::Unborn; TRANSACTIONS];
        Self { desk: Desk::new(), stages, is_doomed, announced: Vec::new() }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Bank(transaction) => self.move_on(transaction),
            Step::Arrival(choice) if !self.announced.is_empty() => {
                self.arrive(choice % self.announced.len());
            }
            Step::Arrival(_) => {}
            Step::Restart => self.desk.driver.restart().unwrap(),
        }
    }

    fn move_on(&mut self, transaction: usize) {
        let id = format!("tx-{transaction}");
        let (stage, event_type) = match (self.stages[transaction], self.is_doomed[transaction]) {
            (Stage::Unborn, _) => (Stage::Held, "TRANSACTION_CREATED"),
            (Stage::Held, true) => (Stage::Deleted, "TRANSACTION_DELETED"),
            (Stage::Held, false) => (Stage::Settled, "TRANSACTION_SETTLED"),
            (Stage::Settled | Stage::Deleted, _) => return,
        };
        match stage {
            Stage::Held => self.desk.bank.put_transaction(&id, "acc-1", "HELD", -100),
            Stage::Settled => self.desk.bank.put_transaction(&id, "acc-1", "SETTLED", -120),
            Stage::Unborn | Stage::Deleted => self.desk.bank.delete_transaction(&id),
        }
        self.stages[transaction] = stage;
        self.announced.push((format!("event-{}", self.announced.len()), event_type, id));
    }

    fn arrive(&mut self, index: usize) {
        let (event_id, event_type, transaction_id) = self.announced[index].clone();
        self.desk.event(&event_id, event_type, &transaction_id);
    }

    /// The stage of each transaction by the highest version that was told; deleted is the highest.
    fn told(&mut self) -> [Stage; TRANSACTIONS] {
        let mut told = [Stage::Unborn; TRANSACTIONS];
        for record in self.desk.transactions() {
            let value = record.value;
            let index: usize = value.transaction_id.trim_start_matches("tx-").parse().unwrap();
            let stage = match value.transaction.map(|transaction| transaction.status) {
                None => Stage::Deleted,
                Some(status) if status == "SETTLED" => Stage::Settled,
                Some(_) => Stage::Held,
            };
            // Nothing may follow a deletion, and a settled transaction is never held again.
            assert!(told[index] as u8 <= stage as u8, "{:?} then {stage:?}", told[index]);
            told[index] = stage;
        }
        told
    }
}

/// What a crash can leave: the transaction is on the topic, the memory of it is gone, and so is the
/// bank's. Whoever booked it must still hear of its deletion.
#[test]
fn a_deletion_of_an_unknown_transaction_is_told_to_every_account_with_its_balance() {
    let mut desk = Desk::new();
    desk.bank.list_accounts();
    desk.bank.put_account("acc-2", 70);
    desk.event("event-1", "TRANSACTION_CREATED", "tx-1");
    desk.event("event-2", "TRANSACTION_DELETED", "tx-1");
    desk.event("event-2", "TRANSACTION_DELETED", "tx-1");
    let told = ["tx-1 deleted for acc-1", "tx-1 deleted for acc-2"];
    let balances = ["acc-1 has 5000", "acc-2 has 70"];
    assert_eq!(desk.said(), [told, balances].concat());
    desk.expect_committed(3);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_highest_version_told_is_what_the_bank_holds(
        is_doomed in any::<[bool; TRANSACTIONS]>(),
        steps in prop::collection::vec(step(), 0..40),
    ) {
        let mut world = World::new(is_doomed);
        for step in steps {
            world.take(step);
        }
        for index in 0..world.announced.len() {
            world.arrive(index);
        }
        prop_assert_eq!(world.told(), world.stages);
        prop_assert!(world.desk.driver.dead_letters().is_empty());
    }
}
