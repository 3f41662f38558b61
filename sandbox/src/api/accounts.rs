//! Accounts.

use serde_json::json;

use super::answer::{Answer, Refusal};
use super::page::page;
use super::request::Request;
use super::resource::Resources;
use crate::bank::{AccountType, OwnershipType};
use crate::world::World;

/// `GET /accounts`
pub(super) fn list(world: &World, request: &Request) -> Result<Answer, Refusal> {
    let kind: Option<AccountType> = request.params.choice("filter[accountType]")?;
    let ownership: Option<OwnershipType> = request.params.choice("filter[ownershipType]")?;
    let resources = Resources::new(&request.origin);
    let accounts = world.bank.accounts().iter().enumerate();
    let items = accounts
        .filter(|(_, account)| kind.is_none_or(|kind| kind == account.kind))
        .filter(|(_, account)| ownership.is_none_or(|ownership| ownership == account.ownership))
        .collect();
    page(&request.params, &resources.link("/accounts"), items, |one| resources.account(one))
}

/// `GET /accounts/{id}`
pub(super) fn get(world: &World, request: &Request, id: &str) -> Result<Answer, Refusal> {
    let account =
        world.bank.account(id).map_err(|error| Refusal::not_found(format!("{error}.")))?;
    Ok(Answer::ok(json!({ "data": Resources::new(&request.origin).account(account) })))
}
