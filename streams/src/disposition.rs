//! What an error means for the record that caused it.

use std::{borrow::Cow, fmt::Write as _, time::Duration};

use crate::record::Timestamp;

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

    /// What an HTTP status other than success means, with the value of its `Retry-After` header, seconds
    /// or a date (RFC 9110 10.2.3), at the time `now` in milliseconds since the Unix epoch.
    ///
    /// - 429: wait as long as it says, a second if it does not; not counted, since it passes.
    /// - 408, 425 and 5xx: try again, not before it says; counted.
    /// - Any other: the request cannot work, so its record goes to the dead letters.
    ///
    /// More than an hour is an hour: the other side does not decide for how long a partition waits.
    pub fn of_http(status: u16, retry_after: Option<&str>, now: Timestamp) -> Self {
        let after = retry_after.and_then(|text| after(text, now));
        match status {
            429 => Self::wait(after.unwrap_or(THROTTLED)),
            408 | 425 | 500..=599 => after.map_or(Self::retry(), Self::retry_after),
            _ => Self::DeadLetter,
        }
    }
}

/// How long to wait for a limit that does not say when it ends.
const THROTTLED: Duration = Duration::from_secs(1);
/// The longest wait another side may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);

fn after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    let asked = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit are more than the longest wait, too.
        Duration::from_secs(text.parse().unwrap_or(u64::MAX))
    } else {
        let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_millisecond();
        Duration::from_millis(u64::try_from(at.saturating_sub(now)).unwrap_or_default())
    };
    Some(asked.min(RETRY_AFTER_MAX))
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
    /// Type name of the error and, of an enum, its variant, for `__streams.errors.exception`.
    pub exception: Cow<'static, str>,
    /// The error and its causes, for `__streams.errors.message`.
    pub message: String,
    /// What to do.
    pub disposition: Disposition,
}

impl Failure {
    /// Takes what matters from a classified error.
    pub(crate) fn of<E: Classify>(error: &E) -> Self {
        Self {
            exception: exception(error),
            message: chain(error),
            disposition: error.disposition(),
        }
    }
}

/// The error's type, and its variant where its `Debug` form begins with one as a derived form does:
/// letters of one application are told apart by it. Nothing else of that form is taken.
fn exception<E: Classify>(error: &E) -> Cow<'static, str> {
    let name = std::any::type_name::<E>();
    let mut first = FirstWord::default();
    // Ends with an error as soon as the word does: what comes behind is not even formatted.
    write!(first, "{error:?}").ok();
    let word = first.0.as_str();
    let is_variant = word.starts_with(|letter: char| letter.is_ascii_uppercase())
        && name.rsplit("::").next() != Some(word);
    if is_variant { Cow::Owned(format!("{name}::{word}")) } else { Cow::Borrowed(name) }
}

/// The name that a text begins with.
#[derive(Default)]
struct FirstWord(String);

impl std::fmt::Write for FirstWord {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        const BYTES_MAX: usize = 64;
        for letter in text.chars() {
            if !(letter.is_ascii_alphanumeric() || letter == '_') || self.0.len() >= BYTES_MAX {
                return Err(std::fmt::Error);
            }
            self.0.push(letter);
        }
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::{Classify, Disposition, Duration, exception};

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Plain(String);

    #[derive(Debug, thiserror::Error)]
    enum Several {
        #[error("too late")]
        Timeout,
        #[error("{0}")]
        Secret(String),
        #[error("{text}")]
        Named { text: String },
    }

    /// Whose form for developers is its text.
    #[derive(thiserror::Error)]
    #[error("{0}")]
    struct Custom(&'static str);

    impl std::fmt::Debug for Custom {
        fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            out.write_str(self.0)
        }
    }

    macro_rules! dead_letters {
        ($($error:ty),*) => {
            $(impl Classify for $error {
                fn disposition(&self) -> Disposition {
                    Disposition::DeadLetter
                }
            })*
        };
    }
    dead_letters!(Plain, Several, Custom);

    #[test]
    fn a_status_says_whether_and_when_to_try_again() {
        // Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110
        let (date, at) = ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777_000);
        let seconds = Duration::from_secs;
        for (status, after, expected) in [
            (429, Some("7"), Disposition::wait(seconds(7))),
            (429, None, Disposition::wait(seconds(1))),
            (429, Some("soon"), Disposition::wait(seconds(1))),
            (429, Some(date), Disposition::wait(seconds(37))),
            (503, Some("120"), Disposition::retry_after(seconds(120))),
            (503, Some("99999999999999999999"), Disposition::retry_after(seconds(3_600))),
            (500, None, Disposition::retry()),
            (408, None, Disposition::retry()),
            (404, Some("7"), Disposition::DeadLetter),
            (401, None, Disposition::DeadLetter),
        ] {
            assert_eq!(
                Disposition::of_http(status, after, at - 37_000),
                expected,
                "{status} {after:?}"
            );
        }
        let over = Disposition::of_http(429, Some(date), at + 1);
        assert_eq!(over, Disposition::wait(Duration::ZERO), "a time that is over");
    }

    #[test]
    fn an_exception_is_the_type_and_the_variant_and_nothing_that_is_in_it() {
        let module = module_path!();
        let text = || "hunter2".to_owned();
        assert_eq!(exception(&Plain(text())), format!("{module}::Plain"));
        assert_eq!(exception(&Several::Timeout), format!("{module}::Several::Timeout"));
        assert_eq!(exception(&Several::Secret(text())), format!("{module}::Several::Secret"));
        let named = Several::Named { text: text() };
        assert_eq!(exception(&named), format!("{module}::Several::Named"));
        assert_eq!(exception(&Custom("hunter2 it is")), format!("{module}::Custom"));
        assert_eq!(exception(&Custom("\"Quoted\"")), format!("{module}::Custom"));
    }
}
