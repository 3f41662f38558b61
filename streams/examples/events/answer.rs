//! What the bank answers when it is asked for a transaction; what is not named here is passed over.

use serde::{Deserialize, Deserializer, de};

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Answer {
    pub(crate) data: Data,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Data {
    pub(crate) id: String,
    pub(crate) attributes: Attributes,
    pub(crate) relationships: Relationships,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Attributes {
    pub(crate) status: Status,
    pub(crate) raw_text: Option<String>,
    pub(crate) description: String,
    pub(crate) amount: Money,
    pub(crate) round_up: Option<RoundUp>,
    pub(crate) settled_at: Option<Instant>,
    pub(crate) card_purchase_method: Option<Card>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Status {
    Held,
    Settled,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Money {
    pub(crate) currency_code: String,
    pub(crate) value_in_base_units: i64,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct RoundUp {
    pub(crate) amount: Money,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Card {
    pub(crate) method: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Relationships {
    pub(crate) category: Category,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Category {
    pub(crate) data: Option<Reference>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Reference {
    pub(crate) id: String,
}

/// A time as the bank writes it, with its offset: `2024-02-03T10:15:30+10:00`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Instant(pub(crate) jiff::Timestamp);

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        text.parse().map(Self).map_err(de::Error::custom)
    }
}
