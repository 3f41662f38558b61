//! What an event means, given what we know of its transaction. Pure.

use serde::{Deserialize, Serialize};

use crate::event::Announced;

/// The bank's name of a transaction that is booked.
const SETTLED: &str = "SETTLED";

/// What we remember of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(crate) enum Known {
    /// The bank told us about it.
    Seen {
        /// Its account: a deletion does not name it.
        account_id: String,
        /// Status as the bank last said.
        status: String,
        /// SHA-256 of the bank's last answer, hex.
        digest: String,
    },
    /// It was deleted. Final: the bank does not use an id twice.
    Deleted {
        /// Its account; none when it was deleted before we ever saw it.
        account_id: Option<String>,
    },
}

/// What to do with an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Ask the bank for the transaction and its account.
    Ask,
    /// Record the deletion; ask for the account's balance where the account is known.
    Bury { account_id: Option<String> },
    /// The deletion is recorded already: nothing can follow it.
    StayDeleted,
}

/// What to do with an event about a transaction.
pub(crate) fn plan(announced: Announced, known: Option<&Known>) -> Plan {
    match (announced, known) {
        (_, Some(Known::Deleted { .. })) => Plan::StayDeleted,
        (Announced::Deleted, None) => Plan::Bury { account_id: None },
        (Announced::Deleted, Some(Known::Seen { account_id, .. })) => {
            Plan::Bury { account_id: Some(account_id.clone()) }
        }
        (Announced::Created | Announced::Settled, _) => Plan::Ask,
    }
}

/// The kinds of change downstream knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Created,
    Settled,
    Amended,
    Deleted,
}

impl Change {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Settled => "settled",
            Self::Amended => "amended",
            Self::Deleted => "deleted",
        }
    }
}

/// What happened to a transaction, judged by the bank's answer rather than by the event: events come
/// late, twice and in any order, and each of them finds the transaction as it is now.
pub(crate) fn change(
    announced: Announced,
    known: Option<&Known>,
    status: &str,
    digest: &str,
) -> Change {
    if let Some(Known::Seen { status: before, digest: last, .. }) = known {
        if before != status {
            return if status == SETTLED { Change::Settled } else { Change::Amended };
        }
        if last != digest {
            return Change::Amended;
        }
    }
    match announced {
        Announced::Settled if status == SETTLED => Change::Settled,
        Announced::Created | Announced::Settled | Announced::Deleted => Change::Created,
    }
}

#[cfg(test)]
mod tests {
    use super::{Change, Known, Plan, change, plan};
    use crate::event::Announced::{Created, Deleted, Settled};

    fn seen(status: &str, digest: &str) -> Known {
        Known::Seen {
            account_id: "acc-1".to_owned(),
            status: status.to_owned(),
            digest: digest.to_owned(),
        }
    }

    #[test]
    fn the_bank_is_asked_until_the_deletion() {
        let gone = Known::Deleted { account_id: None };
        let held = seen("HELD", "a");
        let bury =
            |account_id: Option<&str>| Plan::Bury { account_id: account_id.map(str::to_owned) };
        for (announced, known, expect) in [
            (Created, None, Plan::Ask),
            (Settled, None, Plan::Ask),
            (Created, Some(&held), Plan::Ask),
            (Settled, Some(&held), Plan::Ask),
            (Deleted, None, bury(None)),
            (Deleted, Some(&held), bury(Some("acc-1"))),
            (Created, Some(&gone), Plan::StayDeleted),
            (Settled, Some(&gone), Plan::StayDeleted),
            (Deleted, Some(&gone), Plan::StayDeleted),
        ] {
            assert_eq!(plan(announced, known), expect, "{announced:?} {known:?}");
        }
    }

    #[test]
    fn a_change_is_what_the_answers_show() {
        let held = seen("HELD", "a");
        let settled = seen("SETTLED", "b");
        for (announced, known, status, digest, expect) in [
            (Created, None, "HELD", "a", Change::Created),
            (Created, None, "SETTLED", "b", Change::Created),
            (Settled, None, "SETTLED", "b", Change::Settled),
            (Settled, Some(&held), "SETTLED", "b", Change::Settled),
            // The event is ahead of the bank, or late: the answer is what counts.
            (Settled, None, "HELD", "a", Change::Created),
            (Created, Some(&held), "SETTLED", "b", Change::Settled),
            (Created, Some(&held), "HELD", "c", Change::Amended),
            (Settled, Some(&settled), "SETTLED", "c", Change::Amended),
            (Settled, Some(&settled), "HELD", "a", Change::Amended),
            // Nothing new: the event's own word.
            (Created, Some(&held), "HELD", "a", Change::Created),
            (Settled, Some(&settled), "SETTLED", "b", Change::Settled),
        ] {
            let found = change(announced, known, status, digest);
            assert_eq!(found, expect, "{announced:?} {known:?} {status} {digest}");
        }
    }
}
