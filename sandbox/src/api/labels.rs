//! Categories and tags, and their places on transactions.

use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Answer, Refusal};
use super::page::page;
use super::request::Request;
use super::resource::Resources;
use crate::bank::category::{self, CATEGORIES};
use crate::bank::{Error, TAGS_MAX};
use crate::world::World;

/// Tags read from one request: more than a transaction can have, so that repeated ones pass.
const TAGS_READ_MAX: usize = 10 * TAGS_MAX;

#[derive(Deserialize)]
struct Identifier {
    #[serde(rename = "type")]
    kind: String,
    id: String,
}

/// `GET /categories`: not paginated.
pub(super) fn categories(request: &Request) -> Result<Answer, Refusal> {
    let parent = request.params.get("filter[parent]");
    if let Some(id) = parent.filter(|id| category::find(id).is_none()) {
        let detail = format!("category `{id}` does not exist.");
        return Err(Refusal::parameter_not_found("filter[parent]", detail));
    }
    let resources = Resources::new(&request.origin);
    let listed = CATEGORIES.iter().filter(|one| parent.is_none() || one.parent == parent);
    let data: Vec<_> = listed.map(|one| resources.category(one)).collect();
    Ok(Answer::ok(json!({ "data": data })))
}

/// `GET /categories/{id}`
pub(super) fn category(request: &Request, id: &str) -> Result<Answer, Refusal> {
    let missing = || Refusal::not_found(format!("category `{id}` does not exist."));
    let found = category::find(id).ok_or_else(missing)?;
    Ok(Answer::ok(json!({ "data": Resources::new(&request.origin).category(found) })))
}

/// `GET /tags`, in the order of their labels.
pub(super) fn tags(world: &World, request: &Request) -> Result<Answer, Refusal> {
    let resources = Resources::new(&request.origin);
    let items = world.bank.tags().into_iter().map(|tag| (tag.to_owned(), tag)).collect();
    page(&request.params, &resources.link("/tags"), items, |tag| resources.tag(tag))
}

/// `PATCH /transactions/{id}/relationships/category`: a child category, or `null` for none.
pub(super) fn categorize(
    world: &mut World,
    request: &Request,
    id: &str,
) -> Result<Answer, Refusal> {
    let body = request.json()?;
    let data = body.get("data").ok_or_else(|| Refusal::invalid("/data", "Expected `data`."))?;
    let wanted = match data {
        Value::Null => None,
        data => Some(identifier(data, "categories")?),
    };
    world.bank.categorize(id, wanted.as_deref()).map_err(refuse)?;
    Ok(Answer::no_content())
}

/// `POST /transactions/{id}/relationships/tags`
pub(super) fn tag(world: &mut World, request: &Request, id: &str) -> Result<Answer, Refusal> {
    world.bank.tag(id, &labels(request)?).map_err(refuse)?;
    Ok(Answer::no_content())
}

/// `DELETE /transactions/{id}/relationships/tags`
pub(super) fn untag(world: &mut World, request: &Request, id: &str) -> Result<Answer, Refusal> {
    world.bank.untag(id, &labels(request)?).map_err(refuse)?;
    Ok(Answer::no_content())
}

fn labels(request: &Request) -> Result<Vec<String>, Refusal> {
    let body = request.json()?;
    let data = body.get("data").and_then(Value::as_array);
    let data = data.ok_or_else(|| Refusal::invalid("/data", "Expected a list of tags."))?;
    if data.len() > TAGS_READ_MAX {
        return Err(Refusal::invalid("/data", format!("At most {TAGS_READ_MAX} tags at once.")));
    }
    data.iter().map(|one| identifier(one, "tags")).collect()
}

fn identifier(data: &Value, kind: &str) -> Result<String, Refusal> {
    let expected = || format!("Expected {{\"type\": \"{kind}\", \"id\": \"...\"}}.");
    let read = Identifier::deserialize(data).ok().filter(|read| read.kind == kind);
    read.map(|read| read.id).ok_or_else(|| Refusal::invalid("/data", expected()))
}

fn refuse(error: Error) -> Refusal {
    match error {
        Error::TransactionNotFound(_) | Error::AccountNotFound(_) => {
            Refusal::not_found(format!("{error}."))
        }
        Error::CategoryNotFound(_) | Error::ParentCategory(_) => {
            Refusal::invalid("/data/id", format!("{error}."))
        }
        other => Refusal::invalid("/data", format!("{other}.")),
    }
}
