//! What can keep the local platform from running, one sentence each.
use std::path::{Path, PathBuf};

use super::Cause;
use crate::process;

/// Why the local platform does not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No `java` on the path.
    #[error(
        "Java is missing: install Java 17 or newer (Debian, Ubuntu: apt-get install openjdk-17-jre-headless)"
    )]
    JavaMissing,
    /// A `java` that the servers do not run on.
    #[error(
        "Java {found} is too old for Kafka: install Java 17 or newer and put it first on the PATH"
    )]
    JavaTooOld {
        /// The major version found.
        found: u32,
    },
    /// No `mvn` on the path, and the jars are not there yet.
    #[error(
        "Maven is missing and the servers' jars are not fetched yet: install it (Debian, Ubuntu: apt-get install maven)"
    )]
    MavenMissing,
    /// Maven could not fetch the jars.
    #[error("fetching the servers' jars failed: {reason}; all of it is in {log}", log = log.display())]
    MavenFailed {
        /// The first error Maven reported.
        reason: String,
        /// Its whole output.
        log: PathBuf,
    },
    /// The fetched files are not what was expected.
    #[error(
        "no registry in {dir}: remove the folder above it and start again, it is fetched anew",
        dir = dir.display()
    )]
    JarMissing {
        /// The folder looked into.
        dir: PathBuf,
    },
    /// Another program listens on a port that was asked for.
    #[error(
        "port {port} for {name} is used by another program: end that program or choose another port"
    )]
    PortOccupied {
        /// The server that wants the port.
        name: &'static str,
        /// The port.
        port: u16,
    },
    /// No port of the range for free ones is free.
    #[error("no port between 20000 and 32000 is free for {name}: end some servers")]
    NoPortFree {
        /// The server that wants a port.
        name: &'static str,
    },
    /// Not enough room for the data.
    #[error(
        "the disk of {dir} has {free_mb} MB free, the local platform needs {needed_mb} MB: free some space",
        dir = dir.display()
    )]
    DiskFull {
        /// The platform's folder.
        dir: PathBuf,
        /// What is left, in MB.
        free_mb: u64,
        /// What is needed, in MB.
        needed_mb: u64,
    },
    /// A server ended by itself.
    #[error("{name} ended: {cause} (log: {log})", log = log.display())]
    Ended {
        /// The server.
        name: &'static str,
        /// What its log says.
        cause: Cause,
        /// The log file.
        log: PathBuf,
    },
    /// A server runs but does not answer.
    #[error(
        "{name} did not answer on {address} within {seconds} s: see {log}",
        log = log.display()
    )]
    Silent {
        /// The server.
        name: &'static str,
        /// Where it was asked.
        address: String,
        /// How long it was waited for.
        seconds: u64,
        /// The log file.
        log: PathBuf,
    },
    /// A server named by the environment does not answer.
    #[error(
        "{name} on {address} does not answer: start it, or unset {variable} to run a local one"
    )]
    Unreachable {
        /// The server.
        name: &'static str,
        /// Where it was asked.
        address: String,
        /// The variable that names it.
        variable: &'static str,
    },
    /// A server's process could not be started or ended.
    #[error(transparent)]
    Process(#[from] process::Error),
    /// A file of the platform could not be used.
    #[error("{action} {path} failed: {source}", path = path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
}

impl Error {
    pub(super) fn io(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::Io { action, path: path.to_path_buf(), source }
    }
}
