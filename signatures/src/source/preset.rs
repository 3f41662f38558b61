//! What each provider fixes.

use std::time::Duration;

use serde::Deserialize;

use crate::scheme::Scheme;
use crate::source::event::{EventShape, TimeForm};

/// A provider we know the manners of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// Up Bank. <https://developer.up.com.au>
    Up,
    /// Stripe. <https://docs.stripe.com/webhooks>
    Stripe,
}

impl Preset {
    /// Its signature scheme.
    pub fn scheme(self) -> Scheme {
        match self {
            Self::Up => Scheme::up(),
            Self::Stripe => Scheme::stripe(),
        }
    }

    /// Where its bodies hold the event's id, type, subject and time.
    pub const fn event_shape(self) -> EventShape {
        match self {
            Self::Up => EventShape {
                id: "/data/id",
                kind: "/data/attributes/eventType",
                subject: "/data/relationships/transaction/data/id",
                time: "/data/attributes/createdAt",
                time_form: TimeForm::Rfc3339,
            },
            Self::Stripe => EventShape {
                id: "/id",
                kind: "/type",
                subject: "/data/object/id",
                time: "/created",
                time_form: TimeForm::UnixSeconds,
            },
        }
    }

    /// The status that counts as delivered: Up takes exactly 200, Stripe any 2xx.
    pub const fn success_code(self) -> u16 {
        match self {
            Self::Up | Self::Stripe => 200,
        }
    }

    /// How long the provider waits for the answer. Up documents 30 s; Stripe documents no number
    /// and asks for a quick answer, so we hold to 20 s.
    pub const fn ack_deadline(self) -> Duration {
        match self {
            Self::Up => Duration::from_secs(30),
            Self::Stripe => Duration::from_secs(20),
        }
    }

    /// How long event ids are remembered, at least the time over which the provider retries. Up
    /// does not publish when it gives up; Stripe retries for three days.
    pub const fn dedupe_window(self) -> Duration {
        match self {
            Self::Up => Duration::from_hours(7 * 24),
            Self::Stripe => Duration::from_hours(4 * 24),
        }
    }
}
