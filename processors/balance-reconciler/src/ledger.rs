//! Where in the store is what?
//!
//! | key | row |
//! |---|---|
//! | `account/<account id>` | the account's page |
//! | `transaction/<account id>/<transaction id>` | the version in the books |
//! | `waiting/<account id>` | present while a part of the difference waits for the quiet period |
//!
//! A record reads and writes one page and one row, whatever the length of the history. The clock
//! reads the waiting accounts only.

use serde::{Deserialize, Serialize};
use streams::{Context, Store};

use crate::account::{Account, Entry};
use crate::error::Error;

/// Longest id taken, in bytes; a bank's is far shorter, and it must fit a changelog's key.
const ID_BYTES_MAX: usize = 128;

/// What the store holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Row {
    /// An account's page.
    Account(Account),
    /// A transaction.
    Transaction(Entry),
    /// The account is to be looked at when the quiet period is over.
    Waiting,
}

/// An account's id that can stand in a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AccountId(String);

impl AccountId {
    /// Takes an id of 1 to 128 bytes without control characters and `/`.
    pub fn new(id: &str) -> Result<Self, Error> {
        if is_usable(id) && !id.contains('/') {
            Ok(Self(id.to_owned()))
        } else {
            Err(Error::Id { what: "account", limit: ID_BYTES_MAX })
        }
    }

    /// As the bank spells it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_usable(id: &str) -> bool {
    (1..=ID_BYTES_MAX).contains(&id.len()) && !id.chars().any(char::is_control)
}

/// The store, by what is in it.
#[derive(Clone, Debug)]
pub struct Ledger {
    store: Store<String, Row>,
}

const WAITING: &str = "waiting/";
/// The first key behind every `waiting/` key: `0` follows `/`.
const WAITING_END: &str = "waiting0";

impl Ledger {
    /// The ledger in `store`.
    pub fn new(store: Store<String, Row>) -> Self {
        Self { store }
    }

    /// An account's page; `None` before its opening.
    pub fn account(&self, ctx: &Context<'_>, id: &AccountId) -> Result<Option<Account>, Error> {
        let key = format!("account/{}", id.0);
        match ctx.get(&self.store, &key)? {
            None => Ok(None),
            Some(Row::Account(account)) => Ok(Some(account)),
            Some(_) => Err(Error::Row { key, expected: "an account's page" }),
        }
    }

    /// Writes a page, and whether the clock has to come back to it.
    pub fn put_account(
        &self,
        ctx: &mut Context<'_>,
        id: &AccountId,
        account: Account,
    ) -> Result<(), Error> {
        let waiting = format!("{WAITING}{}", id.0);
        let waits = account.timing()? != 0;
        match (waits, ctx.get(&self.store, &waiting)?) {
            (true, None) => ctx.put(&self.store, &waiting, &Row::Waiting)?,
            (false, Some(_)) => ctx.delete(&self.store, &waiting)?,
            (true, Some(_)) | (false, None) => {}
        }
        ctx.put(&self.store, &format!("account/{}", id.0), &Row::Account(account))?;
        Ok(())
    }

    /// Every transaction's row of an account: its whole history, so not for every record.
    pub fn entries(&self, ctx: &Context<'_>, account: &AccountId) -> Result<Vec<Entry>, Error> {
        let from = format!("transaction/{}/", account.0);
        let to = format!("transaction/{}0", account.0);
        let rows = ctx.range(&self.store, &from, &to)?;
        let entry = |(key, row)| match row {
            Row::Transaction(entry) => Ok(entry),
            _ => Err(Error::Row { key, expected: "a transaction" }),
        };
        rows.into_iter().map(entry).collect()
    }

    /// A transaction's row.
    pub fn entry(
        &self,
        ctx: &Context<'_>,
        account: &AccountId,
        transaction: &str,
    ) -> Result<Option<Entry>, Error> {
        let key = entry_key(account, transaction)?;
        match ctx.get(&self.store, &key)? {
            None => Ok(None),
            Some(Row::Transaction(entry)) => Ok(Some(entry)),
            Some(_) => Err(Error::Row { key, expected: "a transaction" }),
        }
    }

    /// Writes a transaction's row.
    pub fn put_entry(
        &self,
        ctx: &mut Context<'_>,
        account: &AccountId,
        transaction: &str,
        entry: Entry,
    ) -> Result<(), Error> {
        let key = entry_key(account, transaction)?;
        ctx.put(&self.store, &key, &Row::Transaction(entry))?;
        Ok(())
    }

    /// Accounts with a difference that waits for the quiet period.
    pub fn waiting(&self, ctx: &Context<'_>) -> Result<Vec<AccountId>, Error> {
        let (from, to) = (WAITING.to_owned(), WAITING_END.to_owned());
        let rows = ctx.range(&self.store, &from, &to)?;
        let id = |key: &str| key.strip_prefix(WAITING).map(|id| AccountId(id.to_owned()));
        Ok(rows.iter().filter_map(|(key, _)| id(key)).collect())
    }
}

fn entry_key(account: &AccountId, transaction: &str) -> Result<String, Error> {
    if !is_usable(transaction) {
        return Err(Error::Id { what: "transaction", limit: ID_BYTES_MAX });
    }
    // the account has no `/`, so the first one after it ends it, whatever the transaction's id is
    Ok(format!("transaction/{}/{transaction}", account.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_id_must_fit_a_key() {
        let check = |id: &str, expect: bool| assert_eq!(AccountId::new(id).is_ok(), expect, "{id}");
        check("3fc0d1a2-0000-4000-8000-000000000001", true);
        check(&"x".repeat(128), true);
        check("", false);
        check(&"x".repeat(129), false);
        check("a/b", false);
        check("a\nb", false);
    }

    #[test]
    fn no_two_transactions_share_a_key() {
        let key = |account, transaction| {
            let account = AccountId::new(account).expect("usable");
            entry_key(&account, transaction).expect("usable")
        };
        assert_eq!(key("a", "b/c"), "transaction/a/b/c");
        assert_ne!(key("a", "b/c"), key("a", "b"));
        assert!(entry_key(&AccountId::new("a").expect("usable"), "\0").is_err());
    }
}
