//! What runs, written down: a later `bankstream` finds the servers of an earlier one.
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// One server process of the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// Process id, which is its process group's id too.
    pub pid: u32,
    /// The port it listens on, on 127.0.0.1.
    pub port: u16,
}

/// The servers that were started in one platform folder, as its `state.json` says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// The process that stops the servers when it ends; none when they stay until `platform stop`.
    pub owner: Option<u32>,
    /// The broker.
    pub kafka: Option<Running>,
    /// The schema registry.
    pub registry: Option<Running>,
}

impl State {
    /// The servers of `dir` that are alive now; none when nothing runs there.
    pub fn running(dir: &Path) -> Option<Self> {
        let state = Self::read(dir)?;
        let alive = |server: &Running| is_ours(server.pid, dir);
        let kafka = state.kafka.filter(alive);
        let registry = state.registry.filter(alive);
        (kafka.is_some() || registry.is_some()).then_some(Self {
            owner: state.owner,
            kafka,
            registry,
        })
    }

    /// `host:port` of the broker, when it runs.
    pub fn bootstrap_servers(&self) -> Option<String> {
        self.kafka.map(|server| kafka_address(server.port))
    }

    /// Base address of the registry's Confluent interface, when it runs.
    pub fn registry_url(&self) -> Option<String> {
        self.registry.map(|server| registry_address(server.port))
    }

    /// What ran in a folder last, whether it still does or not.
    pub fn read(dir: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(path(dir)).ok()?;
        // A file of another version of this program says nothing that can be relied on.
        serde_json::from_str(&text).ok()
    }

    pub(super) fn write(&self, dir: &Path) -> std::io::Result<()> {
        // Written whole under another name first: a reader never sees half a file.
        let draft = dir.join("state.json.new");
        std::fs::write(&draft, serde_json::to_vec_pretty(self)?)?;
        std::fs::rename(draft, path(dir))
    }
}

/// `host:port` of a local broker.
pub(super) fn kafka_address(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// Base address of a local registry's Confluent interface.
pub(super) fn registry_address(port: u16) -> String {
    format!("http://127.0.0.1:{port}/apis/ccompat/v7")
}

/// Whether `pid` is a server of this folder, not a stranger that got the number later: its command
/// line names the folder.
pub(super) fn is_ours(pid: u32, dir: &Path) -> bool {
    let Ok(command_line) = std::fs::read(format!("/proc/{pid}/cmdline")) else { return false };
    let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_path_buf());
    let marker = format!("{MARKER}{}", dir.display());
    command_line.split(|byte| *byte == 0).any(|argument| argument == marker.as_bytes())
}

/// A Java property on each server's command line that names the platform folder it belongs to.
pub(super) const MARKER: &str = "-Dbankstream.platform=";

fn path(dir: &Path) -> PathBuf {
    dir.join("state.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let state = State {
            owner: Some(7),
            kafka: Some(Running { pid: 8, port: 9092 }),
            registry: Some(Running { pid: 9, port: 8081 }),
        };
        state.write(dir.path()).unwrap();
        assert_eq!(State::read(dir.path()), Some(state));
    }

    #[test]
    fn a_process_that_only_inherited_the_number_is_not_ours() {
        let dir = tempfile::tempdir().unwrap();
        let kafka = Some(Running { pid: std::process::id(), port: 9092 });
        State { kafka, ..State::default() }.write(dir.path()).unwrap();
        assert_eq!(State::running(dir.path()), None);
    }

    #[test]
    fn a_damaged_file_counts_as_nothing_running() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("state.json"), "{\"kafka\": 12").unwrap();
        assert_eq!(State::running(dir.path()), None);
    }
}
