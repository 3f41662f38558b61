//! The control API: makes things happen in the bank and tells the truth about it.
//!
//! A tool for tests and demonstrations on the loopback interface: it asks for no token. Every route
//! is described in the crate's README.

mod orders;
mod state;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use warp::http::Method;

pub use self::orders::Day;
use self::orders::{Adjust, Deletion, Forgeries, Settle, Transfer};
use crate::api::{Answer, Request};
use crate::bank::{Error, Event, NewAccount, NewTransaction, Settlement};
use crate::dispatch::Course;
use crate::faults;
use crate::stripe;
use crate::world::World;

/// Where the control API begins.
pub const ROOT: &str = "/sandbox/v1";

/// What an order leads to.
#[derive(Debug)]
pub enum Outcome {
    /// It is done.
    Answer(Answer),
    /// A generated day is to start.
    Start(Day),
    /// The generated day is to stop.
    Stop,
    /// Events are to be sent as Stripe sends them.
    Stripe(stripe::Order),
}

/// Why an order is refused.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("reading the order: {0}")]
    Unreadable(#[from] serde_json::Error),
    #[error(transparent)]
    Bank(#[from] Error),
    #[error(transparent)]
    Faults(#[from] faults::Error),
    #[error("`{0}` must be {1}")]
    OutOfRange(&'static str, &'static str),
    #[error("there is no {0} {1}; the routes are in the sandbox's README")]
    NoRoute(Method, String),
    #[error("webhook `{0}` does not exist")]
    NoWebhook(String),
}

impl Refusal {
    fn status(&self) -> u16 {
        match self {
            Self::Bank(Error::AccountNotFound(_) | Error::TransactionNotFound(_))
            | Self::NoRoute(..)
            | Self::NoWebhook(_) => 404,
            Self::Bank(_) => 409,
            Self::Unreadable(_) | Self::Faults(_) | Self::OutOfRange(..) => 400,
        }
    }
}

/// Carries out one order below [`ROOT`].
pub fn answer(world: &mut World, request: &Request) -> Outcome {
    order(world, request).unwrap_or_else(|refusal| {
        let body = Some(json!({ "error": refusal.to_string() }));
        Outcome::Answer(Answer { status: refusal.status(), body, remaining: None })
    })
}

fn order(world: &mut World, request: &Request) -> Result<Outcome, Refusal> {
    let below = request.path.strip_prefix(ROOT).and_then(|path| path.strip_prefix('/'));
    let segments: Vec<_> = below.unwrap_or_default().split('/').collect();
    let answer = match (&request.method, segments.as_slice()) {
        (&Method::GET, ["state"]) => Answer::ok(state::state(world)),
        (&Method::GET, ["events"]) => Answer::ok(state::events(world)),
        (&Method::GET, ["quiesce"]) => Answer::ok(state::quiesce(world)),
        (&Method::GET, ["faults"]) => Answer::ok(json!(world.faults)),
        (&Method::PATCH, ["faults"]) => {
            world.faults = world.faults.changed(read(request)?)?;
            Answer::ok(json!(world.faults))
        }
        (&Method::GET, ["files", id]) => Answer::ok(json!({ "attachment": id })),
        (&Method::POST, ["accounts"]) => open(world, request)?,
        (&Method::POST, ["accounts", id, "adjust"]) => {
            let Adjust { amount } = read(request)?;
            Answer::ok(json!(world.bank.adjust(id, amount)?))
        }
        (&Method::POST, ["transactions"]) => record(world, request)?,
        (&Method::POST, ["transactions", id, "settle"]) => settle(world, request, id)?,
        (&Method::POST, ["transactions", id, "delete"]) => {
            let Deletion { course } = read(request)?;
            done(&world.apply(course, |bank, now| bank.delete(id, now))?)
        }
        (&Method::POST, ["transfers"]) => transfer(world, request)?,
        (&Method::POST, ["forgeries"]) => forge(world, request)?,
        (&Method::POST, ["scenario"]) => return Ok(Outcome::Start(Day::check(read(request)?)?)),
        (&Method::DELETE, ["scenario"]) => return Ok(Outcome::Stop),
        (&Method::POST, ["stripe", "send"]) => {
            let order: stripe::Order = read(request)?;
            order.check().map_err(|limit| Refusal::OutOfRange("count and repeat", limit))?;
            return Ok(Outcome::Stripe(order));
        }
        (method, _) => return Err(Refusal::NoRoute(method.clone(), request.path.clone())),
    };
    Ok(Outcome::Answer(answer))
}

/// An empty body reads as `{}`.
fn read<T: DeserializeOwned>(request: &Request) -> Result<T, Refusal> {
    let body: &[u8] = if request.body.is_empty() { b"{}" } else { &request.body };
    Ok(serde_json::from_slice(body)?)
}

fn done(events: &[Event]) -> Answer {
    Answer::created(json!({ "events": events }))
}

fn open(world: &mut World, request: &Request) -> Result<Answer, Refusal> {
    let new: NewAccount = read(request)?;
    let now = world.now();
    let id = world.bank.open(new, now)?;
    Ok(Answer::created(json!(world.bank.account(&id)?)))
}

fn record(world: &mut World, request: &Request) -> Result<Answer, Refusal> {
    let mut body: Value = read(request)?;
    // Taken out by hand: serde cannot both flatten and refuse unknown members.
    let course = body.as_object_mut().and_then(|members| members.remove("course"));
    let course: Course = course.map(serde_json::from_value).transpose()?.unwrap_or_default();
    let new: NewTransaction = serde_json::from_value(body)?;
    Ok(done(&world.apply(course, |bank, now| bank.record(new, now))?))
}

fn settle(world: &mut World, request: &Request, id: &str) -> Result<Answer, Refusal> {
    let Settle { amount, recreated, course } = read(request)?;
    let how = if recreated { Settlement::Recreated } else { Settlement::InPlace };
    Ok(done(&world.apply(course, |bank, now| bank.settle(id, amount, how, now))?))
}

fn transfer(world: &mut World, request: &Request) -> Result<Answer, Refusal> {
    let Transfer { from, to, amount, description, course } = read(request)?;
    let moved =
        world.apply(course, |bank, now| bank.transfer(&from, &to, amount, &description, now))?;
    Ok(done(&moved))
}

fn forge(world: &mut World, request: &Request) -> Result<Answer, Refusal> {
    let Forgeries { webhook, kind, count } = Forgeries::check(read(request)?)?;
    let all = world.webhooks.all().iter().map(|one| one.id.clone());
    let targets: Vec<_> = match webhook {
        None => all.collect(),
        Some(id) if world.webhooks.get(&id).is_none() => return Err(Refusal::NoWebhook(id)),
        Some(id) => vec![id],
    };
    let mut forged = 0u64;
    for target in &targets {
        for _ in 0..count {
            forged += u64::from(world.forge(target, kind).is_some());
        }
    }
    Ok(Answer::created(json!({ "forged": forged })))
}

#[cfg(test)]
mod tests;
