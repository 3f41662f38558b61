//! How much a test does: a little in every run, more at night.

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

#[expect(clippy::disallowed_methods, reason = "the one place of the tests that reads a variable")]
fn is_nightly() -> bool {
    std::env::var("BANKSTREAM_NIGHTLY").is_ok_and(|value| value == "1")
}
