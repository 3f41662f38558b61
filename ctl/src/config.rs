//! What is read from the environment by a name known only at run time: webhook secrets.
use std::io;
use std::path::Path;

use signatures::source::SecretStore;

/// The process's environment and the file system.
#[derive(Debug, Clone, Copy)]
pub struct Environment;

impl SecretStore for Environment {
    #[expect(clippy::disallowed_methods, reason = "the one place of this crate that does it")]
    fn env(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn file(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }
}
