//! The shapes of Up's documents, as far as we read them.

use serde::{Deserialize, Deserializer};

use crate::resource::{Account, Money, Transaction};

/// Characters shown of an error's title or detail.
const SHOWN_MAX: usize = 200;

#[derive(Deserialize)]
pub(super) struct One<R> {
    pub(super) data: R,
}

#[derive(Deserialize)]
pub(super) struct Listed<R> {
    pub(super) data: Vec<R>,
    pub(super) links: Links,
}

#[derive(Deserialize)]
pub(super) struct Links {
    pub(super) next: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Identifier {
    pub(super) id: String,
}

#[derive(Deserialize)]
pub(super) struct Related {
    pub(super) data: Identifier,
}

#[derive(Default, Deserialize)]
struct MaybeRelated {
    data: Option<Identifier>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MoneyObject {
    currency_code: String,
    value_in_base_units: i64,
}

#[derive(Deserialize)]
pub(super) struct AccountResource {
    id: String,
    attributes: AccountAttributes,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AccountAttributes {
    display_name: String,
    account_type: String,
    balance: MoneyObject,
    #[serde(deserialize_with = "instant")]
    created_at: i64,
}

#[derive(Deserialize)]
pub(super) struct TransactionResource {
    id: String,
    attributes: TransactionAttributes,
    relationships: TransactionRelationships,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TransactionAttributes {
    status: String,
    raw_text: Option<String>,
    description: String,
    message: Option<String>,
    hold_info: Option<WithAmount>,
    round_up: Option<WithAmount>,
    amount: MoneyObject,
    foreign_amount: Option<MoneyObject>,
    #[serde(default, deserialize_with = "instant_or_null")]
    settled_at: Option<i64>,
    #[serde(deserialize_with = "instant")]
    created_at: i64,
}

#[derive(Deserialize)]
struct WithAmount {
    amount: MoneyObject,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TransactionRelationships {
    account: Related,
    #[serde(default)]
    transfer_account: MaybeRelated,
    #[serde(default)]
    category: MaybeRelated,
}

impl From<MoneyObject> for Money {
    fn from(money: MoneyObject) -> Self {
        Self { amount: money.value_in_base_units, currency: money.currency_code }
    }
}

impl From<AccountResource> for Account {
    fn from(resource: AccountResource) -> Self {
        let AccountAttributes { display_name, account_type, balance, created_at } =
            resource.attributes;
        Self { id: resource.id, display_name, account_type, balance: balance.into(), created_at }
    }
}

impl From<TransactionResource> for Transaction {
    fn from(resource: TransactionResource) -> Self {
        let TransactionResource { id, attributes, relationships } = resource;
        Self {
            id,
            account_id: relationships.account.data.id,
            status: attributes.status,
            amount: attributes.amount.into(),
            held_amount: attributes.hold_info.map(|hold| hold.amount.into()),
            foreign_amount: attributes.foreign_amount.map(Money::from),
            round_up: attributes.round_up.map(|round_up| round_up.amount.into()),
            description: attributes.description,
            raw_text: attributes.raw_text,
            message: attributes.message,
            category: relationships.category.data.map(|category| category.id),
            transfer_account_id: relationships.transfer_account.data.map(|account| account.id),
            created_at: attributes.created_at,
            settled_at: attributes.settled_at,
        }
    }
}

/// RFC 3339 with any offset (Up sends Sydney's) to milliseconds since the epoch.
pub(super) fn instant<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let text = String::deserialize(deserializer)?;
    milliseconds(&text)
}

fn instant_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.as_deref().map(milliseconds).transpose()
}

fn milliseconds<E: serde::de::Error>(text: &str) -> Result<i64, E> {
    let instant: jiff::Timestamp = text.parse().map_err(E::custom)?;
    Ok(instant.as_millisecond())
}

/// The first error of an error document, short enough for a log line.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) title: String,
    pub(super) detail: String,
}

#[derive(Deserialize)]
struct ErrorDocument {
    errors: Vec<ErrorObject>,
}

#[derive(Deserialize)]
struct ErrorObject {
    #[serde(default)]
    title: String,
    #[serde(default)]
    detail: String,
}

/// Reads an error document; a body that is none says so.
pub(super) fn refusal(body: &[u8]) -> Refusal {
    let first = serde_json::from_slice(body)
        .ok()
        .and_then(|document: ErrorDocument| document.errors.into_iter().next());
    match first {
        Some(error) => Refusal { title: short(&error.title), detail: short(&error.detail) },
        None => Refusal { title: "no reason given".to_owned(), detail: String::new() },
    }
}

fn short(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(SHOWN_MAX).collect()
}

#[cfg(test)]
mod tests;
