//! The registry as a stream thread uses it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use apache_avro::Schema;
use tokio::runtime::Handle;

use super::{Registry, RegistryError};
use crate::topology_file::subject_of;
use crate::wire::{SchemaError, Schemas, keep};

/// A registry whose callers may block: stream threads, which are no threads of the async runtime.
#[derive(Debug)]
pub struct RegistrySchemas {
    registry: Registry,
    runtime: Handle,
    kept: Mutex<HashMap<u32, &'static Schema>>,
}

impl RegistrySchemas {
    /// Asks `registry` on `runtime`. Its methods panic on a thread of that runtime.
    pub fn new(registry: Registry, runtime: Handle) -> Self {
        Self { registry, runtime, kept: Mutex::default() }
    }

    fn kept(&self, id: u32) -> Option<&'static Schema> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(&id).copied()
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
        let registered = self.runtime.block_on(self.registry.by_id(id))?;
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
