//! The targets that `cargo test` runs briefly, for libFuzzer. See `README.md`.
#![warn(missing_docs)]

use std::path::PathBuf;
use std::{env, fs};

#[expect(missing_docs, reason = "documented where the tests run them")]
#[path = "../../signatures/tests/fuzz/targets.rs"]
pub mod targets;

/// Puts the seeds of the target into its corpus, where libFuzzer starts from: the folder on the
/// command line. Where a file stands there, that alone is to be run again.
pub fn start(name: &str) {
    let mut words = env::args_os().skip(1).map(PathBuf::from);
    let Some(folder) = words.find(|word| !word.to_string_lossy().starts_with('-')) else { return };
    if folder.is_file() {
        return;
    }
    fs::create_dir_all(&folder).expect("the corpus can be made");
    for (number, seed) in targets::seeds(name).iter().enumerate() {
        fs::write(folder.join(format!("seed-{number}")), seed).expect("a seed can be written");
    }
}
