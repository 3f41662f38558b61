//! What may be wrong with the `[sources.NAME]` tables.

/// Why the declared sources cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The file is not TOML.
    #[error("{file} is not valid TOML")]
    Toml {
        /// The file.
        file: String,
        /// Where and what.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// The file declares no source.
    #[error("{file}: no `[sources.NAME]` table is declared; expected at least one")]
    NoSources {
        /// The file.
        file: String,
    },
    /// A table has an unknown key, lacks one, or holds a value of another type.
    #[error("{file}: `sources.{name}`: {}", .problem.message())]
    Table {
        /// The file.
        file: String,
        /// The source's name.
        name: String,
        /// What was expected; it is part of this message, not a cause below it.
        problem: Box<toml::de::Error>,
    },
    /// A value is of the right type but cannot be used.
    #[error("{file}: `sources.{name}.{key}` is `{value}`; expected {expected}")]
    Value {
        /// The file.
        file: String,
        /// The source's name.
        name: String,
        /// The key below the source's table.
        key: &'static str,
        /// The value found.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
    /// The scheme cannot be made of what the table says.
    #[error("{file}: `sources.{name}`: {problem}")]
    Scheme {
        /// The file.
        file: String,
        /// The source's name.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// Two sources share a path.
    #[error("{file}: `sources.{name}.path` is `{path}`, which `sources.{other}` has already")]
    SamePath {
        /// The file.
        file: String,
        /// The source's name.
        name: String,
        /// The path of both.
        path: String,
        /// The source that has it.
        other: String,
    },
}
