//! How long the parts of a request may take, by how long its provider waits for the answer.

use std::time::Duration;

/// What a request's parts may take. Together they end when four fifths of the provider's patience
/// are over: the rest is for the way there and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// Its body to arrive.
    pub body: Duration,
    /// A key to be fetched, where it names one that is not known.
    pub keys: Duration,
    /// Kafka to acknowledge its record.
    pub produce: Duration,
}

impl Deadlines {
    /// For a provider that gives up after `ack`; the body and Kafka get at most what is given.
    pub fn of(ack: Duration, body: Duration, produce: Duration) -> Self {
        let usable = ack * 4 / 5;
        let body = body.min(usable / 4);
        let produce = produce.min(usable / 2);
        Self { body, keys: usable.saturating_sub(body + produce), produce }
    }
}

#[cfg(test)]
mod tests {
    use signatures::source::Preset;

    use signatures::{Scheme, Secret, sign};

    use super::*;
    use crate::clock::Stopwatch;
    use crate::testing::{Broker, TestIngress};

    #[track_caller]
    fn check(preset: Preset, patience_s: u64, body_ms: u64, produce_ms: u64) {
        let ack = preset.ack_deadline();
        assert_eq!(ack, Duration::from_secs(patience_s), "{preset:?}");
        let given = Deadlines::of(ack, Duration::from_secs(5), Duration::from_secs(10));
        let millis = Duration::from_millis;
        assert_eq!(
            (given.body, given.produce),
            (millis(body_ms), millis(produce_ms)),
            "{preset:?}"
        );
        assert!(given.body + given.keys + given.produce < ack, "{preset:?}");
        assert!(given.keys >= ack / 5, "{preset:?} leaves time to fetch a key");
    }

    #[test]
    fn retries_and_late_webhooks_of_every_provider_are_known_and_not_refused_for_their_age() {
        use Preset::{
            Adyen, Convoy, Demoz, Github, Gocardless, ModernTreasury, Moneykit, Paypal, Plaid,
            StandardWebhooks, Starling, Stripe, Svix, Truelayer, Up, Wise,
        };
        for preset in [
            Adyen,
            Convoy,
            Demoz,
            Github,
            Gocardless,
            ModernTreasury,
            Moneykit,
            Paypal,
            Plaid,
            StandardWebhooks,
            Starling,
            Stripe,
            Svix,
            Truelayer,
            Up,
            Wise,
        ] {
            let Some(freshness) = preset.scheme().unwrap().freshness else { continue };
            let past = Duration::from_millis(u64::try_from(freshness.past_ms).unwrap());
            assert!(past >= preset.tolerance_min(), "{preset:?} refuses its own retries");
            assert!(past <= preset.dedupe_window(), "{preset:?} could be sent again later");
        }
        let moneykit = Moneykit.scheme().unwrap().freshness.unwrap();
        assert_eq!(moneykit.past_ms, 3 * 3_600_000);
    }

    #[test]
    fn every_provider_has_its_answer_before_it_gives_up() {
        check(Preset::Wise, 5, 1_000, 2_000);
        check(Preset::Github, 10, 2_000, 4_000);
        check(Preset::Plaid, 10, 2_000, 4_000);
        check(Preset::Svix, 15, 3_000, 6_000);
        check(Preset::Stripe, 20, 4_000, 8_000);
        check(Preset::Up, 30, 5_000, 10_000);
    }

    #[tokio::test]
    async fn an_impatient_provider_is_told_to_come_again_although_kafka_might_take_longer() {
        let ingress = TestIngress::with_deadline(Duration::from_mins(1)).await;
        ingress.broker(Broker::Hangs);
        let body = br#"{"repository":{"full_name":"a/b"}}"#;
        let secret = Secret::new("github").unwrap();
        let signature = sign(&Scheme::github(), &secret, body, 0).remove(0);
        let headers = [
            (signature.name.as_str(), signature.value.as_str()),
            ("x-github-delivery", "d-1"),
            ("x-github-event", "push"),
        ];
        let watch = Stopwatch::start();
        let reply = ingress.request("POST", "/webhooks/github", &headers, body).await;
        assert_eq!(reply.status, 503, "{}", reply.head);
        assert!(reply.head.contains("retry-after: 5"), "{}", reply.head);
        assert!(watch.elapsed() < Preset::Github.ack_deadline(), "{:?}", watch.elapsed());
    }

    #[test]
    fn shorter_times_stay_as_they_are_given() {
        let (body, produce) = (Duration::from_millis(10), Duration::from_millis(20));
        let given = Deadlines::of(Duration::from_secs(5), body, produce);
        assert_eq!((given.body, given.produce), (body, produce));
    }
}
