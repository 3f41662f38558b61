//! What a command says: answers to standard output, failures to standard error.
use std::borrow::Cow;
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
    Ok(line(&plain(&serde_json::to_string(value)?))?)
}

/// JSON without the control characters that it may hold as they are (DEL and C1): a terminal obeys
/// some of them. They can only stand in texts, and mean the same escaped.
fn plain(json: &str) -> Cow<'_, str> {
    if !json.contains(char::is_control) {
        return Cow::Borrowed(json);
    }
    let escaped = |character: char| {
        if character.is_control() {
            format!("\\u{:04x}", u32::from(character))
        } else {
            character.to_string()
        }
    };
    Cow::Owned(json.chars().map(escaped).collect())
}

/// What somebody else wrote, for a terminal: everything but printable ASCII escaped, as bodies are.
pub fn escaped(text: &str) -> String {
    text.as_bytes().escape_ascii().to_string()
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

#[cfg(test)]
mod tests {
    use super::{escaped, plain};

    #[test]
    fn what_somebody_else_wrote_moves_no_terminal() {
        let text = "a\u{1b}[2J\u{9b}31m\u{7f}\r\n\té\u{202e}";
        assert_eq!(escaped(text), "a\\x1b[2J\\xc2\\x9b31m\\x7f\\r\\n\\t\\xc3\\xa9\\xe2\\x80\\xae");
        let json = serde_json::to_string(text).unwrap();
        let shown = plain(&json);
        assert!(!shown.contains(char::is_control), "{shown}");
        assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), text);
        assert_eq!(plain("{\"é\":1}"), "{\"é\":1}");
    }
}
