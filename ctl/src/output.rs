//! What a command says: answers to standard output, failures to standard error.
use std::io::Write as _;
use std::process::ExitCode;

use serde::Serialize;

/// Writes one line of an answer to standard output.
///
/// Fails when the reader has gone (`bankstream tail ... | head`), so that a loop can stop.
pub fn line(text: &str) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.write_all(b"\n")?;
    stdout.flush()
}

/// Writes one value as one line of JSON to standard output.
pub fn json<T: Serialize>(value: &T) -> anyhow::Result<()> {
    Ok(line(&serde_json::to_string(value)?)?)
}

/// Says on standard error what a long step is doing; never part of an answer, so `--json` stays clean.
pub fn progress(text: &str) {
    // Nobody may be reading: progress is worth nothing then, and no reason to fail.
    drop(writeln!(std::io::stderr().lock(), "{text}"));
}

/// Prints why a command failed, causes included, and gives its exit code (1). A reader that went away
/// (`bankstream tail ... | head`) is an ordinary end, not a failure.
pub fn failure(error: &anyhow::Error) -> ExitCode {
    let reader_gone = |cause: &(dyn std::error::Error + 'static)| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
    };
    if error.chain().any(reader_gone) {
        return ExitCode::SUCCESS;
    }
    progress(&format!("error: {error:#}"));
    ExitCode::FAILURE
}
