//! How much a test does: a little in every run, more at night.

use std::time::Duration;

use anyhow::Context as _;

/// How large the tests are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Times an experiment is repeated.
    pub rounds: u32,
    /// Steps a second that the bank makes.
    pub rate: u32,
}

impl Size {
    /// Short, or as long as `BANKSTREAM_NIGHTLY=1` asks.
    pub fn of_this_run() -> Self {
        if is_nightly() { Self { rounds: 10, rate: 40 } } else { Self { rounds: 1, rate: 12 } }
    }
}

/// For how long rounds of chaos go on: what `BANKSTREAM_CHAOS_SECONDS` asks for, or no longer than they
/// are counted.
pub fn chaos_time() -> anyhow::Result<Duration> {
    let Some(seconds) = variable("BANKSTREAM_CHAOS_SECONDS") else { return Ok(Duration::ZERO) };
    let expected =
        || format!("BANKSTREAM_CHAOS_SECONDS: expected whole seconds, found `{seconds}`");
    seconds.parse().map(Duration::from_secs).with_context(expected)
}

fn is_nightly() -> bool {
    variable("BANKSTREAM_NIGHTLY").is_some_and(|value| value == "1")
}

#[expect(clippy::disallowed_methods, reason = "the one place of the tests that reads a variable")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
