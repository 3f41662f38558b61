//! What can go wrong inside a [`Context`](crate::Context) call.

use std::time::Duration;

use crate::disposition::{Classify, Disposition};
use crate::key::KeyError;
use crate::wire::{DecodeError, EncodeError};

/// How long to wait before asking a registry again that did not answer.
const REGISTRY_WAIT: Duration = Duration::from_secs(1);

/// The runtime's own error: a processor's error enum carries it by `#[from]` and passes its
/// disposition on: `NotConnected`, `State` and `StateKey` halt; `Encode`, `Decode` and `Key` make a
/// dead letter, but wait where a registry does not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The processor was not connected to the sink or store when the topology was built.
    #[error(
        "`{name}` is not connected to this processor; add it with `.sinks(..)` or `.stores(..)`"
    )]
    NotConnected {
        /// Name of the sink or store.
        name: String,
    },
    /// A value cannot be written with the schema of its topic.
    #[error("encoding for topic `{topic}`")]
    Encode {
        /// The sink's topic.
        topic: String,
        /// Why.
        #[source]
        source: EncodeError,
    },
    /// A record's value cannot be read.
    #[error("decoding the value")]
    Decode(#[from] DecodeError),
    /// A record's key cannot be read.
    #[error("decoding the key")]
    Key(#[from] KeyError),
    /// A stored value cannot be read back or written.
    #[error("state store `{store}` holds or was given what its type cannot represent")]
    State {
        /// Name of the store.
        store: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A key of a store cannot be read back.
    #[error("state store `{store}` holds a key its type cannot represent")]
    StateKey {
        /// Name of the store.
        store: String,
        /// Why.
        #[source]
        source: KeyError,
    },
}

impl Classify for Fault {
    fn disposition(&self) -> Disposition {
        match self {
            // Our own wiring or state is wrong: every record would suffer the same.
            Self::NotConnected { .. } | Self::State { .. } | Self::StateKey { .. } => {
                Disposition::Halt
            }
            Self::Decode(DecodeError::Unavailable { .. }) => Disposition::wait(REGISTRY_WAIT),
            Self::Encode { .. } | Self::Key(_) | Self::Decode(_) => Disposition::DeadLetter,
        }
    }
}
