//! The registry holds every schema of the declaration and lets only readable successors in.
use harness::{Pipeline, Setup};
use schemas::topics;
use streams::registry::Registry;

#[tokio::test]
async fn every_subject_is_backward_transitive_and_refuses_what_cannot_read_the_old()
-> anyhow::Result<()> {
    let pipeline = Pipeline::start("schemas", Setup::default()).await?;
    let registry = Registry::new(pipeline.platform.registry_url())?;
    for topic in [
        topics::WEBHOOKS_RECEIVED,
        topics::TRANSACTIONS_ENRICHED,
        topics::ACCOUNTS_OBSERVED,
        topics::BALANCES_RECONCILED,
        topics::TRIGGERS_FIRED,
        topics::POSTS_REQUESTED,
        topics::POSTS_PUBLISHED,
    ] {
        let subject = format!("{topic}-value");
        let compatibility = registry.compatibility(&subject).await?;
        assert_eq!(compatibility.as_deref(), Some("BACKWARD_TRANSITIVE"), "{subject}");
        assert_eq!(registry.versions(&subject).await?.len(), 1, "{subject}");
    }

    let subject = format!("{}-value", topics::POSTS_PUBLISHED);
    // A new field without a default: what was written before cannot be read.
    let mut schema: serde_json::Value =
        serde_json::from_str(&registry.latest(&subject).await?.unwrap().schema)?;
    let field = serde_json::json!({ "name": "likes", "type": "long" });
    schema["fields"].as_array_mut().unwrap().push(field);
    let refused = registry.register(&subject, &schema.to_string()).await;
    assert!(refused.is_err(), "an incompatible schema was taken: {refused:?}");
    assert_eq!(registry.versions(&subject).await?.len(), 1);

    // With a default it is a successor.
    let last = schema["fields"].as_array_mut().unwrap().last_mut().unwrap();
    last["default"] = serde_json::json!(0);
    registry.register(&subject, &schema.to_string()).await?;
    assert_eq!(registry.versions(&subject).await?.len(), 2);
    pipeline.stop().await
}
