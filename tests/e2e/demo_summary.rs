//! The demo ends by itself, agrees with the bank, and leaves nothing running.
use std::process::Command;

use ctl::platform::State;
use harness::{Paths, turn};
use serde_json::Value;

#[tokio::test]
async fn demo_ends_by_itself_with_a_summary_that_agrees_with_the_bank() -> anyhow::Result<()> {
    let _turn = turn().await;
    let paths = Paths::of("demo_summary")?;
    let mut demo = Command::new(paths.bin.join("bankstream"));
    demo.args(["demo", "--once", "--json", "--seconds", "10", "--seed", "11"])
        .arg("--dir")
        .arg(&paths.dir)
        .arg("--jars")
        .arg(&paths.jars)
        .current_dir(&paths.project)
        .env_remove("KAFKA_BOOTSTRAP_SERVERS")
        .env_remove("SCHEMA_REGISTRY_URL");
    let output = tokio::task::spawn_blocking(move || demo.output()).await??;
    let said = String::from_utf8_lossy(&output.stderr);
    let summary: Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| anyhow::anyhow!("{error}: no summary, but: {said}"))?;

    assert_eq!(summary["findings"], serde_json::json!([]), "{summary}");
    assert_eq!(summary["ok"], true);
    assert!(output.status.success(), "{said}");
    // The lost webhook is found, and to the cent.
    let lost = &summary["lost"];
    let accounts = summary["accounts"].as_array().unwrap();
    let account = accounts.iter().find(|account| account["id"] == lost["account"]).unwrap();
    assert_eq!(account["unexplained"], lost["amount"]);
    assert_eq!(account["status"], "unexplained");
    // Something of everything happened.
    for count in ["events", "enriched", "triggers_fired", "coins", "posts_requested"] {
        assert!(summary[count].as_i64().is_some_and(|count| count > 0), "{count}: {summary}");
    }
    let rejected = summary["webhooks"]["rejected"].as_object().unwrap();
    assert!(!rejected.is_empty(), "no forgery was refused: {summary}");
    // Nothing is left running.
    assert_eq!(State::running(&paths.dir.join("demo/platform")), None);
    Ok(())
}
