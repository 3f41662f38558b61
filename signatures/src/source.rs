//! The declared sources: whose webhooks are taken, at which path, with which secrets.
//!
//! They are the `[sources.NAME]` tables of `topology.toml`. A preset fills in what the provider
//! fixes (scheme, where the event's id is, the answer it wants); the table may override it:
//!
//! ```toml
//! [sources.up]
//! preset = "up"
//! path = "/webhooks/up"
//! secrets = [{ id = "env", env = "UP_WEBHOOK_SECRET" }]
//! user_agent = "Up Webhook Dispatcher"   # optional: refuse any other sender
//! dedupe_window = "14d"                  # optional
//! ```
//!
//! Where variable `NAME` is not set, the file that `NAME_FILE` names is read. Beside secrets, or instead
//! of them, a source may have keys that its provider publishes (see [`RemoteKeys`]):
//!
//! ```toml
//! jwks_url = "https://api.moneykit.com/.well-known/jwks.json"
//! jwks_token = { env = "MONEYKIT_TOKEN" }    # optional
//! # or, as Plaid has it: key_request = { url = "…", client_id = { env = "…" }, secret = { file = "…" } }
//! # or, as PayPal has it: certificates = { hosts = ["api.paypal.com"], name = "…", roots = "roots.pem" }
//! ```
//!
//! `params` sets a scheme's parameters (`params = { mode = "advanced" }` for Convoy), `tolerance`
//! how far a signed time may be from ours. An `event` table says where another sender's requests
//! hold what we need, and with `preset = "free"` a `scheme` table describes the signature: a partner
//! of one's own needs no code (see [`crate::FreeScheme`]):
//!
//! ```toml
//! [sources.partner]
//! preset = "free"
//! path = "/webhooks/partner"
//! secrets = [{ id = "env", env = "PARTNER_SECRET" }]
//! scheme = { header = "x-partner-signature", signed = "{body}", algorithm = "hmac-sha256" }
//! # a place: "/json/pointer", "header:NAME", "header-sha256:NAME", "token-sha256:NAME",
//! # "items-sha256", "body-sha256", "fixed:TEXT"
//! event = { id = "header:x-partner-id", kind = "/type", subject = "/data/id" }
//! success_code = 204                     # optional
//! ```

mod config;
mod event;
mod preset;
mod scan;
mod secrets;

pub use config::{
    RemoteKeys, SecretRef, SecretSite, SourceConfig, SourceError, from_tables, parse,
};
pub use event::{Event, EventShape, InvalidPayload, Place, TimeForm};
pub use preset::Preset;
pub use secrets::{LoadError, Loaded, SecretStore};
