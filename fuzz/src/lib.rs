//! The targets that `cargo test` runs briefly, for libFuzzer. See `README.md`.
#![warn(missing_docs)]

use std::fs;
use std::path::Path;

#[expect(missing_docs, reason = "documented where the tests run them")]
#[path = "../../signatures/tests/fuzz/targets.rs"]
pub mod targets;

/// Puts the seeds of the target into its corpus, where libFuzzer starts from.
pub fn start(name: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    fs::create_dir_all(&folder).expect("the corpus can be made");
    for (number, seed) in targets::seeds(name).iter().enumerate() {
        fs::write(folder.join(format!("seed-{number}")), seed).expect("a seed can be written");
    }
}
