//! A poison record goes to the dead letters, bytes and reason, and the partition moves on.
use std::time::Duration;

use harness::{Pipeline, Setup, committed, produce, read_all, wait_for, wait_until};
use schemas::topics;

const APP: &str = "transaction-enricher";
const DEADLINE: Duration = Duration::from_mins(1);

#[tokio::test]
async fn a_poison_record_becomes_a_dead_letter_and_its_partition_moves_on() -> anyhow::Result<()> {
    let mut pipeline = Pipeline::start("dead_letters", Setup::default()).await?;
    let servers = pipeline.platform.bootstrap_servers().to_owned();
    let poison = b"\xffnot avro";
    let (partition, offset) =
        produce(&servers, topics::WEBHOOKS_RECEIVED, "poison", poison).await?;

    let letter = wait_for("the dead letter", DEADLINE, async || {
        Ok(read_all(&servers, "transaction-enricher-dlq").await?.pop())
    })
    .await?;
    assert_eq!(letter.value.as_deref(), Some(poison.as_slice()));
    let header = |name: &str| {
        let value = letter.headers.get(&format!("__streams.errors.{name}"));
        value.map(|value| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
    };
    assert_eq!(header("topic"), topics::WEBHOOKS_RECEIVED);
    assert_eq!(header("partition"), partition.to_string());
    assert_eq!(header("offset"), offset.to_string());
    assert!(!header("exception").is_empty(), "{letter:?}");
    assert!(header("message").contains("0xff"), "{letter:?}");

    wait_until("the commit past the poison", DEADLINE, async || {
        let next = committed(&servers, APP, topics::WEBHOOKS_RECEIVED, partition).await?;
        Ok(next.is_some_and(|next| next > offset))
    })
    .await?;

    // What comes after it is processed as ever.
    pipeline.bank.run_day(15, 4).await?;
    let summary = pipeline.at_rest(None).await?;
    assert_eq!(
        summary.findings,
        ["1 records are dead letters", "1 records are not readable"],
        "{summary:#?}"
    );
    assert!(summary.enriched > 0);
    pipeline.stop().await
}
