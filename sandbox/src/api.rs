//! The bank's HTTP API, without the HTTP: a request in, an answer out.
//!
//! Every request first passes the gate (token, the hour's budget, injected failures), then the
//! table of routes.

mod accounts;
mod answer;
mod attachments;
mod budget;
mod labels;
mod page;
mod request;
mod resource;
mod transactions;
mod webhooks;

use serde_json::json;
use warp::http::Method;

pub use self::answer::{Answer, Refusal};
pub use self::budget::Budget;
pub use self::request::{Params, Request};
pub use self::resource::Resources;
use crate::ids;
use crate::world::World;

/// Where the API begins.
pub const ROOT: &str = "/api/v1";

/// Answers one request below [`ROOT`].
pub fn answer(world: &mut World, request: &Request) -> Answer {
    if request.bearer.as_deref() != Some(world.token.reveal()) {
        return Refusal::not_authorized().into_answer();
    }
    let left = world.budget.take(world.now());
    let answer = match left {
        None => Err(Refusal::too_many_requests(world.budget.limit())),
        Some(_) => fail(world).and_then(|()| route(world, request)),
    };
    let answer = answer.unwrap_or_else(Refusal::into_answer);
    Answer { remaining: Some(left.unwrap_or(0)), ..answer }
}

/// The failures that the faults ask for.
fn fail(world: &mut World) -> Result<(), Refusal> {
    if ids::strikes(&mut world.api_luck, world.faults.api_throttle_percent) {
        return Err(Refusal::too_many_requests(world.budget.limit()));
    }
    if ids::strikes(&mut world.api_luck, world.faults.api_error_percent) {
        return Err(Refusal::broken());
    }
    Ok(())
}

fn route(world: &mut World, request: &Request) -> Result<Answer, Refusal> {
    let below = request.path.strip_prefix(ROOT).and_then(|path| path.strip_prefix('/'));
    let segments: Vec<_> = below.unwrap_or_default().split('/').collect();
    match (&request.method, segments.as_slice()) {
        (&Method::GET, ["util", "ping"]) => Ok(ping(world)),
        (&Method::GET, ["accounts"]) => accounts::list(world, request),
        (&Method::GET, ["accounts", id]) => accounts::get(world, request, id),
        (&Method::GET, ["accounts", id, "transactions"]) => {
            transactions::list(world, request, Some(id))
        }
        (&Method::GET, ["transactions"]) => transactions::list(world, request, None),
        (&Method::GET, ["transactions", id]) => transactions::get(world, request, id),
        (&Method::PATCH, ["transactions", id, "relationships", "category"]) => {
            labels::categorize(world, request, id)
        }
        (&Method::POST, ["transactions", id, "relationships", "tags"]) => {
            labels::tag(world, request, id)
        }
        (&Method::DELETE, ["transactions", id, "relationships", "tags"]) => {
            labels::untag(world, request, id)
        }
        (&Method::GET, ["categories"]) => labels::categories(request),
        (&Method::GET, ["categories", id]) => labels::category(request, id),
        (&Method::GET, ["tags"]) => labels::tags(world, request),
        (&Method::GET, ["attachments"]) => attachments::list(world, request),
        (&Method::GET, ["attachments", id]) => attachments::get(world, request, id),
        (&Method::GET, ["webhooks"]) => webhooks::list(world, request),
        (&Method::POST, ["webhooks"]) => webhooks::create(world, request),
        (&Method::GET, ["webhooks", id]) => webhooks::get(world, request, id),
        (&Method::DELETE, ["webhooks", id]) => webhooks::delete(world, id),
        (&Method::POST, ["webhooks", id, "ping"]) => webhooks::ping(world, id),
        (&Method::GET, ["webhooks", id, "logs"]) => webhooks::logs(world, request, id),
        (method, _) => Err(Refusal::not_found(format!("There is no {method} {}.", request.path))),
    }
}

fn ping(world: &World) -> Answer {
    Answer::ok(json!({ "meta": { "id": world.bank.customer(), "statusEmoji": "⚡️" } }))
}

#[cfg(test)]
mod tests;
