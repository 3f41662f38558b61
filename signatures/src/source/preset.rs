//! What each provider fixes.

use std::borrow::Cow;
use std::time::Duration;

use serde::Deserialize;

use crate::scheme::Scheme;
use crate::source::event::{EventShape, Place, TimeForm};

/// A provider we know the manners of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// Up Bank. <https://developer.up.com.au>
    Up,
    /// Stripe. <https://docs.stripe.com/webhooks>
    Stripe,
    /// GitHub. <https://docs.github.com/en/webhooks>
    Github,
    /// `GoCardless`. <https://developer.gocardless.com>
    Gocardless,
    /// Modern Treasury. <https://docs.moderntreasury.com>
    ModernTreasury,
    /// Demoz.
    Demoz,
    /// Anyone who follows Standard Webhooks. <https://www.standardwebhooks.com>
    StandardWebhooks,
    /// Anyone who sends through Svix. <https://docs.svix.com>
    Svix,
    /// Anyone who sends through Convoy. <https://docs.getconvoy.io>
    Convoy,
    /// `MoneyKit`. <https://docs.moneykit.com>
    Moneykit,
    /// Plaid. <https://plaid.com/docs/api/webhooks/>
    Plaid,
    /// Wise. <https://docs.wise.com>
    Wise,
    /// Starling. <https://developer.starlingbank.com>
    Starling,
    /// `TrueLayer`. <https://docs.truelayer.com>
    Truelayer,
    /// Adyen. <https://docs.adyen.com>
    Adyen,
    /// `PayPal`. <https://developer.paypal.com>
    Paypal,
    /// A partner with a `scheme` and an `event` table of its own.
    Free,
}

const DAY: Duration = Duration::from_hours(24);

impl Preset {
    /// Its signature scheme; `None` where the source's own table holds it.
    pub fn scheme(self) -> Option<Scheme> {
        Some(match self {
            Self::Up => Scheme::up(),
            Self::Stripe => Scheme::stripe(),
            Self::Github => Scheme::github(),
            Self::Gocardless => Scheme::gocardless(),
            Self::ModernTreasury => Scheme::modern_treasury(),
            Self::Demoz => Scheme::demoz(),
            Self::StandardWebhooks => Scheme::standard_webhooks(),
            Self::Svix => Scheme::svix(),
            Self::Convoy => Scheme::convoy(),
            Self::Moneykit => Scheme::moneykit(),
            Self::Plaid => Scheme::plaid(),
            Self::Wise => Scheme::wise(),
            Self::Starling => Scheme::starling(),
            Self::Truelayer => Scheme::truelayer(),
            Self::Adyen => Scheme::adyen(),
            Self::Paypal => Scheme::paypal(),
            Self::Free => return None,
        })
    }

    /// Where its requests hold the event's id, type, subject and time; `None` as above.
    pub fn event_shape(self) -> Option<EventShape> {
        let shape =
            |id, kind, subject, time, time_form| EventShape { id, kind, subject, time, time_form };
        let at = Place::pointer;
        let rfc3339 = TimeForm::Rfc3339;
        let standard = |id| {
            let kind = Place::PointerOr(Cow::Borrowed("/type"), Cow::Borrowed("event"));
            Some(shape(Place::header(id), kind, at("/data/id"), at("/timestamp"), rfc3339))
        };
        match self {
            Self::Up => Some(shape(
                at("/data/id"),
                at("/data/attributes/eventType"),
                at("/data/relationships/transaction/data/id"),
                at("/data/attributes/createdAt"),
                rfc3339,
            )),
            Self::Stripe => Some(shape(
                at("/id"),
                at("/type"),
                at("/data/object/id"),
                at("/created"),
                TimeForm::UnixSeconds,
            )),
            Self::Github => Some(shape(
                Place::header("x-github-delivery"),
                Place::header("x-github-event"),
                at("/repository/full_name"),
                Place::Nowhere,
                rfc3339,
            )),
            // A batch: the ids are its items', and the enricher takes it apart.
            Self::Gocardless => Some(shape(
                Place::BodySha256,
                Place::Fixed(Cow::Borrowed("events")),
                Place::Nowhere,
                Place::Nowhere,
                rfc3339,
            )),
            Self::ModernTreasury => Some(shape(
                Place::header("x-webhook-id"),
                at("/event"),
                at("/data/id"),
                at("/data/updated_at"),
                rfc3339,
            )),
            Self::Demoz => standard("x-demoz-nonce"),
            Self::StandardWebhooks => standard("webhook-id"),
            Self::Svix => standard("svix-id"),
            Self::Convoy => standard("x-convoy-idempotency-key"),
            _ => self.bank_shape(),
        }
    }

    /// The same for the providers whose signatures need no shared secret, and Adyen.
    fn bank_shape(self) -> Option<EventShape> {
        let at = Place::pointer;
        let (id, kind, subject, time) = match self {
            Self::Moneykit => (
                at("/webhook_idempotency_key"),
                at("/webhook_event"),
                at("/link_id"),
                at("/webhook_timestamp"),
            ),
            // Plaid gives its events no id, and the same body may come again for another event
            Self::Plaid => (
                Place::TokenSha256(Cow::Borrowed("plaid-verification")),
                at("/webhook_code"),
                at("/item_id"),
                Place::Nowhere,
            ),
            Self::Wise => (
                Place::header("x-delivery-id"),
                at("/event_type"),
                at("/data/resource/id"),
                at("/sent_at"),
            ),
            Self::Starling => (
                at("/webhookEventUid"),
                Place::PointerOr(Cow::Borrowed("/webhookType"), Cow::Borrowed("event")),
                at("/content/feedItemUid"),
                at("/eventTimestamp"),
            ),
            Self::Truelayer => (at("/event_id"), at("/type"), at("/payment_id"), Place::Nowhere),
            // A batch: the references are its items', and the enricher takes it apart. Most of the body
            // is not signed, so its hash would be another event with every space that is added.
            Self::Adyen => (
                Place::ItemsSha256,
                Place::Fixed(Cow::Borrowed("items")),
                Place::Nowhere,
                Place::Nowhere,
            ),
            // The body's own id is below a checksum that can be forged; the transmission's is signed,
            // and the same in every try of a delivery.
            Self::Paypal => (
                Place::header("paypal-transmission-id"),
                at("/event_type"),
                at("/resource/id"),
                at("/create_time"),
            ),
            _ => return None,
        };
        Some(EventShape { id, kind, subject, time, time_form: TimeForm::Rfc3339 })
    }

    /// The status that counts as delivered: Up takes exactly 200, `GoCardless` documents 204, the
    /// others take any 2xx.
    pub const fn success_code(self) -> u16 {
        match self {
            Self::Gocardless => 204,
            _ => 200,
        }
    }

    /// How long the provider waits for the answer. Up documents 30 s, GitHub and `GoCardless` 10 s,
    /// Wise 5 s,
    /// Plaid 10 s, Convoy waits 10 s by default, Standard Webhooks advises 15 s and more. Stripe and the
    /// others document no number and want a quick answer: we hold to 20 s and 10 s.
    pub const fn ack_deadline(self) -> Duration {
        let seconds = match self {
            Self::Up => 30,
            Self::Stripe => 20,
            Self::StandardWebhooks | Self::Svix => 15,
            Self::Wise => 5,
            _ => 10,
        };
        Duration::from_secs(seconds)
    }

    /// How long event ids are remembered, at least the time over which the provider retries. Up
    /// does not publish when it gives up; Stripe retries for three days; at GitHub a person can
    /// deliver again for three days; Standard Webhooks advises, and Svix takes, up to three days in
    /// all. Who publishes nothing gets a week.
    pub const fn dedupe_window(self) -> Duration {
        match self {
            // twenty-five tries over two weeks
            Self::Wise => DAY.saturating_mul(15),
            Self::Stripe | Self::Github | Self::StandardWebhooks | Self::Svix => {
                DAY.saturating_mul(4)
            }
            _ => DAY.saturating_mul(7),
        }
    }

    /// The shortest time that a tolerance in the past may be: the span over which a provider
    /// retries, where it is not known to sign each try anew. A shorter one would refuse its retries.
    pub const fn tolerance_min(self) -> Duration {
        match self {
            Self::Moneykit => Duration::from_hours(2),
            Self::Truelayer | Self::Paypal => Duration::from_hours(72),
            _ => Duration::ZERO,
        }
    }
}
