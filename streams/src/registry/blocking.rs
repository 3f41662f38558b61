//! The registry as a stream thread uses it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use apache_avro::Schema;
use tokio::{runtime::Handle, time::Instant};

use super::{Registry, RegistryError};
use crate::topology_file::subject_of;
use crate::wire::{SchemaError, Schemas, keep};

/// How long a stream thread may stand still for the schema of an id it meets for the first time.
const ID_TIMEOUT: Duration = Duration::from_secs(2);

/// After a registry has not answered, how long nobody asks it again: records wait meanwhile, and the
/// thread goes on with its group, its commits and its other partitions.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// A registry whose callers may block: stream threads, which are no threads of the async runtime.
#[derive(Debug)]
pub struct RegistrySchemas {
    registry: Registry,
    runtime: Handle,
    kept: Mutex<HashMap<u32, &'static Schema>>,
    /// When the registry may be asked again, after it did not answer, and what it said.
    silent: Mutex<Option<(Instant, String)>>,
}

impl RegistrySchemas {
    /// Asks `registry` on `runtime`. Its methods panic on a thread of that runtime.
    pub fn new(registry: Registry, runtime: Handle) -> Self {
        Self { registry, runtime, kept: Mutex::default(), silent: Mutex::default() }
    }

    fn kept(&self, id: u32) -> Option<&'static Schema> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(&id).copied()
    }

    /// Why the registry is not asked now, if it is not.
    fn silence(&self) -> Option<String> {
        let silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        silent.as_ref().filter(|(until, _)| now < *until).map(|(_, message)| message.clone())
    }

    /// Remembers that the registry did not answer.
    fn heard(&self, error: SchemaError) -> SchemaError {
        if let SchemaError::Unavailable { message } = &error {
            let until = Instant::now() + ASK_AGAIN_AFTER;
            let mut silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
            *silent = Some((until, message.clone()));
        }
        error
    }
}

impl Schemas for RegistrySchemas {
    fn pin(&self, topic: &str, schema: &Schema) -> Result<u32, SchemaError> {
        Ok(self.runtime.block_on(self.registry.pin(&subject_of(topic), schema))?)
    }

    fn resolve(&self, id: u32) -> Result<&'static Schema, SchemaError> {
        if let Some(schema) = self.kept(id) {
            return Ok(schema);
        }
        if let Some(message) = self.silence() {
            return Err(SchemaError::Unavailable { message });
        }
        let asked = async { tokio::time::timeout(ID_TIMEOUT, self.registry.by_id(id)).await };
        let Ok(answer) = self.runtime.block_on(asked) else {
            let message = format!("the schema registry has not answered within {ID_TIMEOUT:?}");
            return Err(self.heard(SchemaError::Unavailable { message }));
        };
        let registered = answer.map_err(|error| self.heard(error.into()))?;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(*kept.entry(id).or_insert_with(|| keep(registered.parsed.clone())))
    }
}

impl From<RegistryError> for SchemaError {
    fn from(error: RegistryError) -> Self {
        let message = error.to_string();
        if error.is_transient() { Self::Unavailable { message } } else { Self::Unknown { message } }
    }
}
