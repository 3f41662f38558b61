//! The truth, for whoever checks what a receiver made of it.

use serde_json::{Value, json};

use crate::world::World;

/// Accounts, every transaction ever (oldest first), webhooks without secrets, and the counters.
pub(super) fn state(world: &World) -> Value {
    let deleted = world.bank.deleted().iter();
    let mut transactions: Vec<_> =
        world.bank.newest_first().map(|(_, transaction)| transaction).chain(deleted).collect();
    transactions.sort_by_key(|transaction| transaction.created_at);
    let webhooks: Vec<_> = world
        .webhooks
        .all()
        .iter()
        .map(|webhook| json!({ "id": webhook.id, "url": webhook.url }))
        .collect();
    json!({
        "now": world.now(),
        "accounts": world.bank.accounts(),
        "transactions": transactions,
        "webhooks": webhooks,
        "counts": world.outbox.counts,
        "quiesce": quiesce(world),
    })
}

/// Every event made and what became of it, oldest first.
pub(super) fn events(world: &World) -> Value {
    json!({ "events": world.outbox.journal.entries().collect::<Vec<_>>() })
}

/// Whether anything is still on its way.
pub(super) fn quiesce(world: &World) -> Value {
    let (waiting, in_flight) = (world.outbox.waiting(), world.outbox.in_flight());
    json!({
        "quiet": waiting == 0 && in_flight == 0 && !world.scenario_running,
        "waiting": waiting,
        "in_flight": in_flight,
        "scenario_running": world.scenario_running,
    })
}
