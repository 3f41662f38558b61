//! Where schemas and their ids come from.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use apache_avro::Schema;

/// The registry, as the runtime needs it. Called on a stream thread: may block for one request.
pub trait Schemas: Send + Sync + 'static {
    /// The id under which `schema` is registered for the values of `topic`.
    fn pin(&self, topic: &str, schema: &Schema) -> Result<u32, SchemaError>;
    /// The schema of an id, kept for the life of the process.
    fn resolve(&self, id: u32) -> Result<&'static Schema, SchemaError>;
}

/// Keeps a schema for the life of the process: readers and writers borrow theirs, and a program
/// meets one schema per version of each topic, not one per record.
pub fn keep(schema: Schema) -> &'static Schema {
    Box::leak(Box::new(schema))
}

/// Why a schema is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The registry does not know it.
    #[error("{message}")]
    Unknown {
        /// What is unknown and what to do.
        message: String,
    },
    /// The registry did not answer.
    #[error("{message}")]
    Unavailable {
        /// Which registry and why.
        message: String,
    },
}

/// Ids that the program knows by itself, where there is no registry. Each schema that is written needs its id,
/// found by the schema itself, and so does each that records on the inputs were written with.
#[derive(Clone, Debug, Default)]
pub struct FixedSchemas {
    by_id: HashMap<u32, &'static Schema>,
}

impl FixedSchemas {
    /// No ids yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the schema of an id; it is kept for the life of the process.
    #[must_use]
    pub fn with(mut self, id: u32, schema: Schema) -> Self {
        self.by_id.insert(id, keep(schema));
        self
    }
}

impl Schemas for FixedSchemas {
    fn pin(&self, topic: &str, schema: &Schema) -> Result<u32, SchemaError> {
        let mut known = self.by_id.iter().filter(|(_, known)| ***known == *schema);
        known.next().map(|(id, _)| *id).ok_or_else(|| SchemaError::Unknown {
            message: format!(
                "no id was given for schema `{}` of topic `{topic}`; add it: \
                 `FixedSchemas::new().with(ID, schema)`",
                schema.name().map_or_else(|| "without a name".to_owned(), ToString::to_string)
            ),
        })
    }

    fn resolve(&self, id: u32) -> Result<&'static Schema, SchemaError> {
        self.by_id.get(&id).copied().ok_or_else(|| SchemaError::Unknown {
            message: format!("no schema was given for id {id}"),
        })
    }
}

/// A registry in memory, for the test driver: ids in order of first sight.
#[derive(Clone, Debug, Default)]
pub struct LocalSchemas {
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    by_id: HashMap<u32, &'static Schema>,
}

impl Schemas for LocalSchemas {
    fn pin(&self, _topic: &str, schema: &Schema) -> Result<u32, SchemaError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((id, _)) = known.by_id.iter().find(|(_, seen)| ***seen == *schema) {
            return Ok(*id);
        }
        let id = u32::try_from(known.by_id.len()).unwrap_or(u32::MAX).saturating_add(1);
        known.by_id.insert(id, keep(schema.clone()));
        Ok(id)
    }

    fn resolve(&self, id: u32) -> Result<&'static Schema, SchemaError> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .by_id
            .get(&id)
            .copied()
            .ok_or_else(|| SchemaError::Unknown { message: format!("schema id {id} is unknown") })
    }
}
