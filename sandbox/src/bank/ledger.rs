//! The operations that move money.

use super::money::round_up;
use super::{
    AccountType, Bank, Error, Event, EventType, Hold, NewTransaction, Order, Status,
    TRANSACTIONS_MAX, Transaction, category,
};
use crate::ids;

/// How the end of a hold shows itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Settlement {
    /// The same transaction settles.
    #[default]
    InPlace,
    /// The hold is deleted and a new, settled transaction appears under another id: what the bank
    /// does when it cannot tell that the two belong together.
    Recreated,
}

fn event(kind: EventType, transaction: &str) -> Event {
    Event { kind, transaction: transaction.to_owned() }
}

impl Bank {
    /// Records a transaction: its events, the round-up's transfer included.
    pub fn record(&mut self, new: NewTransaction, now: i64) -> Result<Vec<Event>, Error> {
        if let Some(id) = new.category.as_deref() {
            category::find(id).ok_or_else(|| Error::CategoryNotFound(id.to_owned()))?;
        }
        self.account(&new.account)?;
        let transaction = self.draft(new, now);
        let id = transaction.id.clone();
        let settled = transaction.status == Status::Settled;
        self.insert(transaction)?;
        let mut events = vec![event(EventType::TransactionCreated, &id)];
        if settled {
            events.extend(self.apply_round_up(&id, now));
        }
        Ok(events)
    }

    /// Settles a held transaction, at `amount` base units if it differs from the hold (a tip, a
    /// moved exchange rate).
    pub fn settle(
        &mut self,
        id: &str,
        amount: Option<i64>,
        how: Settlement,
        now: i64,
    ) -> Result<Vec<Event>, Error> {
        let mut settled = self.held(id)?.clone();
        settled.status = Status::Settled;
        settled.settled_at = Some(now);
        settled.amount = amount.unwrap_or(settled.amount);
        let mut events = match how {
            Settlement::InPlace => {
                self.replace(settled)?;
                vec![event(EventType::TransactionSettled, id)]
            }
            Settlement::Recreated => {
                let new = ids::uuid(&mut self.ids);
                (settled.id, settled.hold, settled.created_at) = (new.clone(), None, now);
                settled.attachment = None;
                self.insert(settled)?;
                self.delete(id, now)?;
                let deleted = event(EventType::TransactionDeleted, id);
                vec![deleted, event(EventType::TransactionCreated, &new)]
            }
        };
        if let Some(last) = events.last().map(|event| event.transaction.clone()) {
            events.extend(self.apply_round_up(&last, now));
        }
        Ok(events)
    }

    /// Deletes a held transaction: its money is available again, the bank's API forgets it.
    pub fn delete(&mut self, id: &str, now: i64) -> Result<Vec<Event>, Error> {
        let held = self.held(id)?;
        let (account, amount) = (held.account.clone(), held.amount);
        self.move_balance(&account, 0, amount)?;
        if let Some(mut gone) = self.places.remove(id).and_then(|order| self.live.remove(&order)) {
            gone.deleted_at = Some(now);
            self.attachments.retain(|attachment| attachment.transaction != id);
            self.deleted.push(gone);
        }
        Ok(vec![event(EventType::TransactionDeleted, id)])
    }

    /// Moves `amount` base units between own accounts: two settled transactions of opposite sign
    /// that name each other's account.
    pub fn transfer(
        &mut self,
        from: &str,
        to: &str,
        amount: i64,
        description: &str,
        now: i64,
    ) -> Result<Vec<Event>, Error> {
        if from == to {
            return Err(Error::SameAccount(from.to_owned()));
        }
        if amount <= 0 {
            return Err(Error::NotPositive(amount));
        }
        let (source, target) = (self.account(from)?, self.account(to)?);
        let fits = target.balance.checked_add(amount).and(source.balance.checked_sub(amount));
        fits.ok_or_else(|| Error::Overflow(to.to_owned()))?;
        self.room_for(2)?;
        let mut events = Vec::new();
        for (own, other, amount) in [(from, to, -amount), (to, from, amount)] {
            let mut half = self.draft(NewTransaction::settled(own, amount, description), now);
            half.transfer_account = Some(other.to_owned());
            half.method = Some("Transfer".to_owned());
            events.push(event(EventType::TransactionCreated, &half.id));
            self.insert(half)?;
        }
        Ok(events)
    }

    fn draft(&mut self, new: NewTransaction, now: i64) -> Transaction {
        let held = new.status == Status::Held;
        Transaction {
            id: ids::uuid(&mut self.ids),
            account: new.account,
            status: new.status,
            raw_text: new.raw_text,
            description: new.description,
            message: new.message,
            note: new.note,
            amount: new.amount,
            hold: held.then(|| Hold { amount: new.amount, foreign: new.foreign.clone() }),
            foreign: new.foreign,
            round_up: None,
            wants_round_up: new.round_up,
            card: new.card,
            method: new.method,
            transfer_account: None,
            category: new.category,
            tags: Vec::new(),
            attachment: None,
            created_at: now,
            settled_at: (!held).then_some(now),
            deleted_at: None,
        }
    }

    fn held(&self, id: &str) -> Result<&Transaction, Error> {
        let transaction = self.transaction(id)?;
        if transaction.status == Status::Held {
            Ok(transaction)
        } else {
            Err(Error::NotHeld(id.to_owned()))
        }
    }

    fn insert(&mut self, transaction: Transaction) -> Result<(), Error> {
        self.room_for(1)?;
        self.move_balance(&transaction.account, transaction.amount, 0)?;
        self.sequence += 1;
        let order: Order = (transaction.created_at, self.sequence);
        self.places.insert(transaction.id.clone(), order);
        self.live.insert(order, transaction);
        Ok(())
    }

    fn replace(&mut self, transaction: Transaction) -> Result<(), Error> {
        let before = self.transaction(&transaction.id)?.amount;
        self.move_balance(&transaction.account, transaction.amount, before)?;
        let place = self.live_mut(&transaction.id)?;
        *place = transaction;
        Ok(())
    }

    fn move_balance(&mut self, account: &str, add: i64, take: i64) -> Result<(), Error> {
        let account = self.account_mut(account)?;
        let moved = account.balance.checked_sub(take).and_then(|left| left.checked_add(add));
        account.balance = moved.ok_or_else(|| Error::Overflow(account.id.clone()))?;
        Ok(())
    }

    /// Notes the round-up on the purchase and moves it into the first saver. Without a saver, on an
    /// even amount, or where the transfer is refused, there is no round-up.
    fn apply_round_up(&mut self, id: &str, now: i64) -> Vec<Event> {
        let Some((account, saver, amount)) = self.round_up_due(id) else {
            return Vec::new();
        };
        let Ok(events) = self.transfer(&account, &saver, -amount, "Round Up", now) else {
            return Vec::new();
        };
        if let Ok(purchase) = self.live_mut(id) {
            purchase.round_up = Some(amount);
        }
        events
    }

    /// From where, to where and how much (negative).
    fn round_up_due(&self, id: &str) -> Option<(String, String, i64)> {
        let purchase = self.transaction(id).ok()?;
        let amount = round_up(purchase.amount)?;
        let saver = self.accounts.iter().find(|account| account.kind == AccountType::Saver)?;
        let due = purchase.wants_round_up && purchase.account != saver.id;
        due.then(|| (purchase.account.clone(), saver.id.clone(), amount))
    }

    fn room_for(&self, count: usize) -> Result<(), Error> {
        if self.live.len() + self.deleted.len() + count > TRANSACTIONS_MAX {
            return Err(Error::Full { what: "transactions", limit: TRANSACTIONS_MAX });
        }
        Ok(())
    }
}
