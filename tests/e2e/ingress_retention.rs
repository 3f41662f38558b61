//! A raw topic that forgets before the ingress may: the start is refused with what mends it.
use harness::{Doors, Replica};

const PATH: &str = "path = \"/webhooks/up\"";

/// Starts the replica, which must refuse, and gives its log.
async fn refusal(replica: &mut Replica) -> anyhow::Result<String> {
    let started = replica.service.start().await;
    assert!(started.is_err(), "the start should be refused");
    Ok(std::fs::read_to_string(replica.service.log())?)
}

#[tokio::test]
async fn a_raw_topic_that_forgets_before_the_dedupe_window_ends_refuses_the_start()
-> anyhow::Result<()> {
    let mut doors = Doors::open("ingress_retention", 1, "secret-of-a-test", &[]).await?;
    let replica = &mut doors.replicas[0];
    let file = replica.layout.dir().join("topology.toml");
    let declared = std::fs::read_to_string(&file)?;
    // Declared as it should be, but the topic was made with thirty days.
    let wide = declared.replacen("retention = \"30d\"", "retention = \"50d\"", 1).replacen(
        PATH,
        &format!("{PATH}\ndedupe_window = \"40d\""),
        1,
    );
    assert_ne!(wide, declared);
    std::fs::write(&file, &wide)?;
    let log = refusal(replica).await?;
    for part in ["`sources.up` remembers event ids for 40d", "30d only", "bankstream topology plan"]
    {
        assert!(log.contains(part), "`{log}` should contain `{part}`");
    }

    // What is declared too short is refused before anything is asked.
    std::fs::write(&file, wide.replacen("retention = \"50d\"", "retention = \"39d\"", 1))?;
    let log = refusal(replica).await?;
    assert!(log.contains("40d") && log.contains("39d only"), "{log}");

    std::fs::write(&file, declared)?;
    replica.service.start().await?;
    doors.stop().await
}
