//! A raw topic that forgets before the ingress may: the start is refused with what mends it.
use harness::Doors;

const PATH: &str = "path = \"/webhooks/up\"";

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
    let error = replica.service.start().await.unwrap_err().to_string();
    for part in ["`sources.up` remembers event ids for 40d", "30d only", "bankstream topology plan"]
    {
        assert!(error.contains(part), "`{error}` should contain `{part}`");
    }
    let plan = replica.layout.bankstream(&["topology", "plan"], &[]).await;
    let plan = plan.unwrap_or_else(|differs| differs.to_string());
    assert!(plan.contains("retention.ms=4320000000"), "{plan}");

    // What is declared too short is refused before anything is asked, and found offline.
    let short = wide.replacen("retention = \"50d\"", "retention = \"39d\"", 1);
    std::fs::write(&file, short)?;
    let error = replica.service.start().await.unwrap_err().to_string();
    assert!(error.contains("40d") && error.contains("39d"), "{error}");
    let check = replica.layout.bankstream(&["topology", "check"], &[]).await;
    let found = check.unwrap_err().to_string();
    assert!(found.contains("39d is shorter than the 40d"), "{found}");

    std::fs::write(&file, declared)?;
    replica.service.start().await?;
    doors.stop().await
}
