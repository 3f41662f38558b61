//! The operator's tool, `bankstream`, beside what a test has started.
use std::process::{Command, Output};

use anyhow::Context as _;
use serde_json::Value;

use crate::pipeline::{programs, project};

/// `bankstream` in the project's folder, with this Kafka.
pub fn bankstream(bootstrap_servers: &str) -> anyhow::Result<Command> {
    let mut command = Command::new(programs()?.join("bankstream"));
    command.current_dir(project()).args(["--bootstrap-servers", bootstrap_servers]);
    Ok(command)
}

/// Runs it with `--json`; gives its answer and its exit code. One without an answer fails, with what it
/// said.
pub async fn answer(mut command: Command) -> anyhow::Result<(Value, i32)> {
    command.arg("--json");
    let output = tokio::task::spawn_blocking(move || command.output()).await?;
    let Output { status, stdout, stderr } = output?;
    let said = || String::from_utf8_lossy(&stderr).into_owned();
    let answer = serde_json::from_slice(&stdout).with_context(said)?;
    Ok((answer, status.code().with_context(said)?))
}
