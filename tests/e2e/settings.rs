//! Settings of a topic are changed one by one.
use harness::Kafka;
use streams::admin::{Admin, AdminError};

const TOPIC: &str = "app-store-changelog";

#[tokio::test]
async fn other_settings_of_a_topic_stay_as_they_are() -> anyhow::Result<()> {
    let kafka = Kafka::start("settings").await?;
    let own = [
        ("cleanup.policy", "compact"),
        ("segment.ms", "3600000"),
        ("min.compaction.lag.ms", "60000"),
    ];
    kafka.create_topic(TOPIC, 1, &own).await?;
    let admin = Admin::new(kafka.bootstrap_servers())?;
    let before = admin.settings(&[TOPIC]).await?;

    let change = [("min.compaction.lag.ms", "120000"), ("max.message.bytes", "2000000")];
    admin.alter_settings(TOPIC, &change, true).await?;
    assert_eq!(admin.settings(&[TOPIC]).await?, before, "a rehearsal changes nothing");

    admin.alter_settings(TOPIC, &change, false).await?;
    let mut expect = before.clone();
    for (key, value) in change {
        let setting = expect.get_mut(TOPIC).and_then(|topic| topic.get_mut(key)).unwrap();
        value.clone_into(&mut setting.value);
        setting.is_own = true;
    }
    assert_eq!(admin.settings(&[TOPIC]).await?, expect);

    for (topic, key, value) in [
        (TOPIC, "retention.ms", "soon"),
        (TOPIC, "retension.ms", "1"),
        ("nowhere", "retention.ms", "1"),
    ] {
        let refused =
            admin.alter_settings(topic, &[("segment.ms", "1"), (key, value)], false).await;
        let is_told =
            matches!(&refused, Err(AdminError::NotAltered { reason, .. }) if !reason.is_empty());
        assert!(is_told, "{topic} {key}={value}: {refused:?}");
    }
    assert_eq!(admin.settings(&[TOPIC]).await?, expect, "what is refused is refused whole");
    kafka.stop().await
}
