//! What is read from the environment by a name known only at run time: webhook secrets, and what a
//! toy pipeline must not take over.
use std::ffi::OsString;
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

/// What the variables of the pipeline's programs begin with.
const OWN_PREFIXES: [&str; 11] = [
    "BANKSTREAM_",
    "COIN_",
    "ENRICHER_",
    "INGRESS_",
    "MASTODON_",
    "QUIET_PERIOD",
    "RECONCILED_",
    "SANDBOX_",
    "SOCIAL_",
    "STRIPE_",
    "UP_",
];

/// Our environment's variables that speak to the pipeline's programs. A demo with somebody's real
/// token, hook or social network in its environment must reach none of them.
pub fn pipeline_variables() -> Vec<OsString> {
    std::env::vars_os()
        .map(|(name, _)| name)
        .filter(|name| is_own(&name.to_string_lossy()))
        .collect()
}

fn is_own(name: &str) -> bool {
    OWN_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::is_own;

    #[test]
    fn a_toy_pipeline_takes_over_no_real_token_hook_or_network() {
        let real = ["UP_API_TOKEN_FILE", "COIN_HOOK_URL", "MASTODON_TOKEN", "BANKSTREAM_RUN_ID"];
        assert!(real.into_iter().all(is_own));
        let neutral = ["PATH", "HOME", "RUST_LOG", "JAVA_HOME", "GROUP_ID"];
        assert!(!neutral.into_iter().any(is_own));
    }
}
