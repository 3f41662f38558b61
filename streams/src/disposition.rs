//! What an error means for the record that caused it.

use std::time::Duration;

/// The answer of an error to the question "and now?".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// It may work later: try again, records of the same lane wait behind it.
    Retry(Retry),
    /// It cannot work: the record goes to the dead letters and the partition moves on.
    DeadLetter,
    /// Nobody can tell what is right: stop without committing.
    Halt,
}

/// How to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// How long to wait at least; `None` leaves it to the backoff.
    pub after: Option<Duration>,
    /// Whether this try counts towards the limit behind which the record is dead-lettered.
    pub is_counted: bool,
}

impl Disposition {
    /// Try again after the backoff; counted.
    pub const fn retry() -> Self {
        Self::Retry(Retry { after: None, is_counted: true })
    }

    /// Try again after the other side's `Retry-After`; counted.
    pub const fn retry_after(after: Duration) -> Self {
        Self::Retry(Retry { after: Some(after), is_counted: true })
    }

    /// Wait for something that will surely pass (an hourly budget, a registry that is down); not
    /// counted, so that a long wait does not end in the dead letters.
    pub const fn wait(after: Duration) -> Self {
        Self::Retry(Retry { after: Some(after), is_counted: false })
    }
}

/// An error that knows what it means for its record. Match every variant, without `_`: a new
/// variant is a new decision.
pub trait Classify: std::error::Error + Send + Sync + 'static {
    /// What to do with the record.
    fn disposition(&self) -> Disposition;
}

/// An error without its type, as the task handles it.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Type name of the error, for `__streams.errors.exception`.
    pub exception: &'static str,
    /// The error and its causes, for `__streams.errors.message`.
    pub message: String,
    /// What to do.
    pub disposition: Disposition,
}

impl Failure {
    /// Takes what matters from a classified error.
    pub(crate) fn of<E: Classify>(error: &E) -> Self {
        Self {
            exception: std::any::type_name::<E>(),
            message: chain(error),
            disposition: error.disposition(),
        }
    }
}

/// An error and its sources in one line: `cannot read x: not found`.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
