//! What can be wrong with an event or the bank, and what happens then.

use std::time::Duration;

use banks::BankError;
use streams::{Classify, Disposition, Fault};

use crate::event::EventError;

/// Pause before the next try while the bank is out of reach. Not counted: an outage of any length
/// must not empty the topic into the dead letters.
const OUTAGE_PAUSE: Duration = Duration::from_secs(15);

/// What ends the handling of an event.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The runtime's own.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The body is no event.
    #[error("reading the event")]
    Event(#[from] EventError),
    /// The bank no longer takes the token.
    #[error(
        "the bank refused the token of source `{source_name}` (401): make a new one at the bank, set UP_API_TOKEN or UP_API_TOKEN_FILE, and start again"
    )]
    Token {
        /// The declared source.
        source_name: String,
    },
    /// The bank is out of reach, or fails over whatever it is asked.
    #[error("the bank is out of order")]
    Outage(#[source] BankError),
    /// The bank gave no usable answer to this question.
    #[error("asking the bank")]
    Bank(#[source] BankError),
    /// A source without a client got this far: a fault of ours.
    #[error("there is no bank client for source `{source_name}`")]
    NoClient {
        /// The declared source.
        source_name: String,
    },
}

impl Error {
    pub(crate) fn bank(source_name: &str, error: BankError) -> Self {
        match error {
            BankError::Unauthorized => Self::Token { source_name: source_name.to_owned() },
            BankError::Unavailable { reason, .. } if reason.is_outage() => Self::Outage(error),
            other => Self::Bank(other),
        }
    }
}

impl Classify for Error {
    fn disposition(&self) -> Disposition {
        match self {
            Self::Fault(fault) => fault.disposition(),
            Self::Event(_) => Disposition::DeadLetter,
            Self::Token { .. } | Self::NoClient { .. } => Disposition::Halt,
            Self::Outage(BankError::Unavailable { retry_after: Some(asked), .. }) => {
                Disposition::wait(*asked)
            }
            Self::Outage(_) => Disposition::wait(OUTAGE_PAUSE),
            Self::Bank(error) => of_bank(error),
        }
    }
}

fn of_bank(error: &BankError) -> Disposition {
    match error {
        BankError::Unauthorized => Disposition::Halt,
        BankError::RateLimited { wait, .. } => Disposition::wait(*wait),
        BankError::Unavailable { retry_after: Some(asked), .. } => Disposition::retry_after(*asked),
        // Something between us and the bank may have answered in its place.
        BankError::Unavailable { .. }
        | BankError::Malformed { .. }
        | BankError::WrongResource { .. }
        | BankError::TooLarge { .. }
        | BankError::ForeignLink { .. }
        | BankError::EndlessListing { .. } => Disposition::retry(),
        // NotFound has been dealt with before it gets here.
        BankError::NotFound { .. }
        | BankError::Rejected { .. }
        | BankError::InvalidId { .. }
        | BankError::TooManyPages { .. } => Disposition::DeadLetter,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use banks::{BankError, Silence};
    use streams::{Classify as _, Disposition};

    use super::{Error, OUTAGE_PAUSE};

    #[track_caller]
    fn check(error: BankError, expect: Disposition) {
        assert_eq!(Error::bank("up", error).disposition(), expect);
    }

    fn unavailable(reason: Silence) -> BankError {
        BankError::Unavailable { what: "x".to_owned(), attempts: 3, reason, retry_after: None }
    }

    #[test]
    fn an_outage_is_waited_out_a_fault_is_not() {
        let wait = Duration::from_mins(7);
        check(BankError::Unauthorized, Disposition::Halt);
        check(BankError::RateLimited { reset_at: 0, wait }, Disposition::wait(wait));
        check(unavailable(Silence::NoConnection), Disposition::wait(OUTAGE_PAUSE));
        check(unavailable(Silence::Status(503)), Disposition::wait(OUTAGE_PAUSE));
        check(unavailable(Silence::Status(500)), Disposition::retry());
        check(BankError::TooLarge { what: "x".to_owned(), limit: 1 }, Disposition::retry());
        check(BankError::InvalidId { id: "x".to_owned() }, Disposition::DeadLetter);
    }
}
