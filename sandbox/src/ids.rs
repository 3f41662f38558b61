//! Identifiers and secrets that look random and follow from the seed.

use fastrand::Rng;
use uuid::Builder;

use crate::secret::Secret;

/// Length of a signing key, as long as the bank's own.
const SECRET_CHARS: usize = 64;

/// What a stream of randomness is for. Each purpose has its own generator, so that, say, one more
/// webhook does not change the transactions of a seeded run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Accounts, transactions and attachments.
    Bank,
    /// Webhooks and their keys.
    Webhooks,
    /// Webhook events.
    Events,
    /// Entries of the delivery log.
    Deliveries,
    /// Waits between delivery attempts.
    Jitter,
    /// Which fault strikes.
    Faults,
    /// The API's latency and failures.
    Api,
    /// What a generated day contains.
    Scenario,
    /// Events sent as Stripe sends them.
    Stripe,
}

/// The generator of one purpose under a run's seed.
pub fn generator(seed: u64, purpose: Purpose) -> Rng {
    // Odd and far apart: neighbouring seeds share no stream.
    let salt = (purpose as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Rng::with_seed(seed ^ salt)
}

/// A version 4 UUID drawn from `rng`.
pub fn uuid(rng: &mut Rng) -> String {
    Builder::from_random_bytes(rng.u128(..).to_be_bytes()).into_uuid().to_string()
}

/// `count` letters and digits drawn from `rng`.
pub fn alphanumeric(rng: &mut Rng, count: usize) -> String {
    std::iter::repeat_with(|| rng.alphanumeric()).take(count).collect()
}

/// A signing key drawn from `rng`.
pub fn signing_key(rng: &mut Rng) -> Secret {
    Secret::new(alphanumeric(rng, SECRET_CHARS))
}

/// True in `percent` of a hundred cases; draws nothing at 0.
pub fn strikes(rng: &mut Rng, percent: u8) -> bool {
    percent > 0 && rng.u8(0..100) < percent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_identifiers_and_purposes_differ() {
        let draw = |seed, purpose| uuid(&mut generator(seed, purpose));
        assert_eq!(draw(7, Purpose::Bank), draw(7, Purpose::Bank));
        assert_ne!(draw(7, Purpose::Bank), draw(7, Purpose::Events));
        assert_ne!(draw(7, Purpose::Bank), draw(8, Purpose::Bank));
    }

    #[test]
    fn a_percentage_of_zero_never_strikes_and_of_a_hundred_always_does() {
        let mut rng = generator(1, Purpose::Faults);
        assert!((0..1000).all(|_| !strikes(&mut rng, 0) && strikes(&mut rng, 100)));
    }

    #[test]
    fn a_secret_is_not_shown_by_debug() {
        let key = signing_key(&mut generator(1, Purpose::Webhooks));
        assert_eq!(key.reveal().len(), SECRET_CHARS);
        assert!(!format!("{key:?}").contains(key.reveal()));
    }
}
