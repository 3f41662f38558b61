//! What do the books and the bank say beside each other?

use schemas::{BalanceReconciled, ExplainedItem, Timestamp};

use crate::account::Account;
use crate::error::BooksError;

/// How the books stand to the bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// They agree.
    Balanced,
    /// They differ, and money moved within the quiet period: the rest may be on its way.
    Timing,
    /// They differ, at least in part, since before the quiet period.
    Unexplained,
}

impl Status {
    /// As the record spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Balanced => "balanced",
            Self::Timing => "timing",
            Self::Unexplained => "unexplained",
        }
    }

    fn of(difference: i64, unexplained: i64) -> Self {
        match (difference, unexplained) {
            (0, _) => Self::Balanced,
            (_, 0) => Self::Timing,
            _ => Self::Unexplained,
        }
    }
}

/// The statement of an account, made at `now`.
pub fn statement(
    account_id: &str,
    account: &Account,
    now: Timestamp,
) -> Result<BalanceReconciled, BooksError> {
    let (difference, timing) = (account.difference()?, account.timing()?);
    let explained = (timing != 0)
        .then(|| ExplainedItem {
            kind: "timing".to_owned(),
            transaction_ids: Vec::new(),
            amount: timing,
        })
        .into_iter()
        .collect();
    Ok(BalanceReconciled {
        account_id: account_id.to_owned(),
        currency: account.currency.clone(),
        opening_balance: account.books.opening,
        settled: account.books.settled,
        held: account.books.held,
        ledger_balance: account.books.ledger_balance()?,
        bank_balance: account.bank.balance,
        difference,
        explained,
        unexplained: account.unexplained,
        status: Status::of(difference, account.unexplained).name().to_owned(),
        transactions: account.books.transactions,
        bank_observed_at: account.bank.observed_at,
        reconciled_at: now,
    })
}

/// Whether `after` says anything `before` did not. A newer look at the same balance does not.
pub fn says_more(before: &Account, after: &Account) -> bool {
    before.books != after.books
        || before.bank.balance != after.bank.balance
        || before.unexplained != after.unexplained
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Observation;
    use crate::books::Books;

    fn account(bank: i64, unexplained: i64) -> Account {
        Account {
            currency: "AUD".to_owned(),
            opened_at: 0,
            listed: 0,
            books: Books { opening: 100, settled: -20, held: -10, transactions: 2 },
            bank: Observation { observed_at: 5, balance: bank },
            changed_at: 5,
            unexplained,
        }
    }

    #[test]
    fn a_difference_is_timing_but_for_the_part_found_unexplained() {
        let check = |bank, unexplained, expect: (i64, Vec<i64>, i64, &str)| {
            let made = statement("account-1", &account(bank, unexplained), 9).expect("small");
            let explained = made.explained.iter().map(|item| item.amount).collect();
            assert_eq!(
                (made.difference, explained, made.unexplained, made.status.as_str()),
                expect
            );
        };
        check(70, 0, (0, vec![], 0, "balanced"));
        check(20, 0, (-50, vec![-50], 0, "timing"));
        check(20, -50, (-50, vec![], -50, "unexplained"));
        check(-10, -50, (-80, vec![-30], -50, "unexplained"));
        check(50, -50, (-20, vec![30], -50, "unexplained"));
    }

    #[test]
    fn a_newer_look_at_the_same_balance_says_nothing_new() {
        let before = account(70, 0);
        let mut after = before.clone();
        after.bank.observed_at = 99;
        assert!(!says_more(&before, &after));
        after.bank.balance = 71;
        assert!(says_more(&before, &after));
    }
}
