//! Webhooks: registering, pinging, and the delivery log.

use std::cmp::Reverse;

use reqwest::Url;
use serde_json::{Value, json};

use super::answer::{Answer, Refusal};
use super::page::page;
use super::request::Request;
use super::resource::Resources;
use crate::webhooks::{WEBHOOKS_MAX, Webhook};
use crate::world::World;

const URL_CHARS_MAX: usize = 300;
const DESCRIPTION_CHARS_MAX: usize = 64;

/// `GET /webhooks`, oldest first.
pub(super) fn list(world: &World, request: &Request) -> Result<Answer, Refusal> {
    let resources = Resources::new(&request.origin);
    let items = world.webhooks.all().iter().map(|one| (one.sequence, one)).collect();
    page(&request.params, &resources.link("/webhooks"), items, |one| resources.webhook(one))
}

/// `POST /webhooks`: the only answer that shows the signing key.
pub(super) fn create(world: &mut World, request: &Request) -> Result<Answer, Refusal> {
    let body = request.json()?;
    let attributes = body.pointer("/data/attributes").unwrap_or(&Value::Null);
    let url = url(attributes.get("url"))?;
    let description = description(attributes.get("description"))?;
    let now = world.now();
    let Some(webhook) = world.webhooks.create(&url, description, now) else {
        let detail = format!("At most {WEBHOOKS_MAX} webhooks at a time; delete one first.");
        return Err(Refusal::invalid("/data", detail));
    };
    let mut resource = Resources::new(&request.origin).webhook(webhook);
    resource["attributes"]["secretKey"] = json!(webhook.secret.reveal());
    Ok(Answer::created(json!({ "data": resource })))
}

/// `GET /webhooks/{id}`
pub(super) fn get(world: &World, request: &Request, id: &str) -> Result<Answer, Refusal> {
    let webhook = find(world, id)?;
    Ok(Answer::ok(json!({ "data": Resources::new(&request.origin).webhook(webhook) })))
}

/// `DELETE /webhooks/{id}`
pub(super) fn delete(world: &mut World, id: &str) -> Result<Answer, Refusal> {
    if world.webhooks.delete(id) { Ok(Answer::no_content()) } else { Err(missing(id)) }
}

/// `POST /webhooks/{id}/ping`: gives the event that is on its way.
pub(super) fn ping(world: &mut World, id: &str) -> Result<Answer, Refusal> {
    find(world, id)?;
    let event = world.ping(id).ok_or_else(|| missing(id))?;
    Ok(Answer::created(event))
}

/// `GET /webhooks/{id}/logs`, newest first.
pub(super) fn logs(world: &World, request: &Request, id: &str) -> Result<Answer, Refusal> {
    let webhook = find(world, id)?;
    let address = Resources::new(&request.origin).link(&format!("/webhooks/{id}/logs"));
    let items = webhook.log().map(|entry| (Reverse(entry.sequence), entry)).collect();
    page(&request.params, &address, items, Resources::log_entry)
}

fn find<'a>(world: &'a World, id: &str) -> Result<&'a Webhook, Refusal> {
    world.webhooks.get(id).ok_or_else(|| missing(id))
}

fn missing(id: &str) -> Refusal {
    Refusal::not_found(format!("webhook `{id}` does not exist."))
}

fn url(given: Option<&Value>) -> Result<String, Refusal> {
    let detail = format!("Expected an http or https URL of at most {URL_CHARS_MAX} characters.");
    let text = given.and_then(Value::as_str).filter(|url| url.chars().count() <= URL_CHARS_MAX);
    let valid = text
        .filter(|text| Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https")));
    valid.map(str::to_owned).ok_or_else(|| Refusal::invalid("/data/attributes/url", detail))
}

fn description(given: Option<&Value>) -> Result<Option<&str>, Refusal> {
    match given {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.chars().count() <= DESCRIPTION_CHARS_MAX => {
            Ok(Some(text))
        }
        Some(_) => {
            let detail = format!("Expected a text of at most {DESCRIPTION_CHARS_MAX} characters.");
            Err(Refusal::invalid("/data/attributes/description", detail))
        }
    }
}
