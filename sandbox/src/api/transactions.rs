//! Transactions.

use std::cmp::Reverse;

use serde_json::json;

use super::answer::{Answer, Refusal};
use super::page::page;
use super::request::{Params, Request};
use super::resource::Resources;
use crate::bank::{Status, Transaction, category};
use crate::world::World;

const SECOND_MS: i64 = 1000;

/// `GET /transactions` and `GET /accounts/{id}/transactions`, newest first.
pub(super) fn list(
    world: &World,
    request: &Request,
    account: Option<&str>,
) -> Result<Answer, Refusal> {
    let filter = Filter::parse(&request.params, account)?;
    let resources = Resources::new(&request.origin);
    let address = match account {
        None => resources.link("/transactions"),
        Some(id) => {
            world.bank.account(id).map_err(|error| Refusal::not_found(format!("{error}.")))?;
            resources.link(&format!("/accounts/{id}/transactions"))
        }
    };
    let items = world
        .bank
        .newest_first()
        .filter(|(_, transaction)| filter.admits(transaction))
        .map(|(order, transaction)| (Reverse(order), transaction))
        .collect();
    page(&request.params, &address, items, |one| resources.transaction(one))
}

/// `GET /transactions/{id}`
pub(super) fn get(world: &World, request: &Request, id: &str) -> Result<Answer, Refusal> {
    let transaction =
        world.bank.transaction(id).map_err(|error| Refusal::not_found(format!("{error}.")))?;
    Ok(Answer::ok(json!({ "data": Resources::new(&request.origin).transaction(transaction) })))
}

/// What a list leaves out.
struct Filter<'a> {
    account: Option<&'a str>,
    status: Option<Status>,
    since: Option<i64>,
    until: Option<i64>,
    category: Option<&'a str>,
    tag: Option<&'a str>,
}

impl<'a> Filter<'a> {
    fn parse(params: &'a Params, account: Option<&'a str>) -> Result<Self, Refusal> {
        let category = params.get("filter[category]");
        if let Some(id) = category.filter(|id| category::find(id).is_none()) {
            let detail = format!("category `{id}` does not exist.");
            return Err(Refusal::parameter_not_found("filter[category]", detail));
        }
        Ok(Self {
            account,
            status: params.choice("filter[status]")?,
            since: params.time("filter[since]")?,
            until: params.time("filter[until]")?,
            category,
            tag: params.get("filter[tag]"),
        })
    }

    /// Times are compared as the answers show them, in whole seconds and with both ends included:
    /// what a client was shown at its own `until` is not missing.
    fn admits(&self, transaction: &Transaction) -> bool {
        let shown = transaction.created_at.div_euclid(SECOND_MS);
        self.account.is_none_or(|account| account == transaction.account)
            && self.status.is_none_or(|status| status == transaction.status)
            && self.since.is_none_or(|since| since.div_euclid(SECOND_MS) <= shown)
            && self.until.is_none_or(|until| shown <= until.div_euclid(SECOND_MS))
            && self.tag.is_none_or(|tag| transaction.tags.iter().any(|other| other == tag))
            && self.category.is_none_or(|wanted| in_category(transaction, wanted))
    }
}

/// A parent category admits the transactions of its children.
fn in_category(transaction: &Transaction, wanted: &str) -> bool {
    let own = transaction.category.as_deref();
    own == Some(wanted)
        || own.and_then(category::find).is_some_and(|own| own.parent == Some(wanted))
}
