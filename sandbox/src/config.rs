//! The sandbox's knobs.

use std::net::SocketAddr;

use crate::faults::Faults;
use crate::secret::Secret;

/// How the sandbox runs. Times are in the unit that the name says.
#[derive(Debug, Clone, clap::Args)]
pub struct Config {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, env = "SANDBOX_LISTEN", default_value = "127.0.0.1:8100")]
    pub listen: SocketAddr,
    /// The bearer token that the bank's API takes.
    #[arg(long, env = "SANDBOX_TOKEN", default_value = "up:demo:sandbox", hide_env_values = true)]
    pub token: Secret,
    /// Scheme and host of the links in answers and events; by default, answers use the host the
    /// client asked for and events use the address listened on.
    #[arg(long, env = "SANDBOX_PUBLIC_URL")]
    pub public_url: Option<String>,
    /// Identifiers, secrets, faults and generated days follow from this number.
    #[arg(long, env = "SANDBOX_SEED", default_value_t = 1)]
    pub seed: u64,
    /// Accounts at the start.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(0..=500))]
    pub accounts: u16,
    /// Settled transactions per account at the start, a day apart.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(0..=365))]
    pub history: u16,
    /// API requests in an hour of the clock.
    #[arg(long, default_value_t = 1_000)]
    pub rate_limit: u32,
    /// Steps a second of a day generated at the start; 0 generates none.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1_000))]
    pub rate: u32,
    /// Length of that day, in seconds.
    #[arg(long, default_value_t = 60)]
    pub duration: u64,
    /// Wait before the second delivery attempt, in milliseconds; it doubles from there.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub retry_base_ms: u64,
    /// Longest wait between two attempts, in milliseconds.
    #[arg(long, default_value_t = 300_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub retry_cap_ms: u64,
    /// Attempts before an event is given up.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub retry_attempts: u32,
    /// How long a webhook's URL may take to answer, in milliseconds; the bank's own value is 30 s.
    #[arg(long, default_value_t = 30_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub delivery_timeout_ms: u64,
    /// What goes wrong.
    #[command(flatten)]
    pub faults: Faults,
}

impl Default for Config {
    /// As without flags, on a free port.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            token: Secret::new("up:demo:sandbox"),
            public_url: None,
            seed: 1,
            accounts: 3,
            history: 8,
            rate_limit: 1_000,
            rate: 0,
            duration: 60,
            retry_base_ms: 1_000,
            retry_cap_ms: 300_000,
            retry_attempts: 20,
            delivery_timeout_ms: 30_000,
            faults: Faults::default(),
        }
    }
}
