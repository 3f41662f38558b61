//! Attachments.

use serde_json::json;

use super::answer::{Answer, Refusal};
use super::page::page;
use super::request::Request;
use super::resource::Resources;
use crate::world::World;

/// `GET /attachments`
pub(super) fn list(world: &World, request: &Request) -> Result<Answer, Refusal> {
    let (resources, now) = (Resources::new(&request.origin), world.now());
    let items = world.bank.attachments().iter().map(|one| ((one.created_at, &one.id), one));
    let mut items: Vec<_> = items.map(|((at, id), one)| ((at, id.clone()), one)).collect();
    items.sort_by(|(left, _), (right, _)| left.cmp(right));
    let address = resources.link("/attachments");
    page(&request.params, &address, items, |one| resources.attachment(one, now))
}

/// `GET /attachments/{id}`
pub(super) fn get(world: &World, request: &Request, id: &str) -> Result<Answer, Refusal> {
    let found = world.bank.attachments().iter().find(|attachment| attachment.id == id);
    let missing = || Refusal::not_found(format!("attachment `{id}` does not exist."));
    let attachment = found.ok_or_else(missing)?;
    let resource = Resources::new(&request.origin).attachment(attachment, world.now());
    Ok(Answer::ok(json!({ "data": resource })))
}
