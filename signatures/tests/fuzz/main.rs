//! A short run of every fuzz target: thousands of inputs, each a few changes away from a well-formed
//! one, the same in every run. The long run is `cargo fuzz` (see `fuzz/README.md`).

#[cfg(test)]
mod mutator;
#[cfg(test)]
#[expect(unreachable_pub, reason = "cargo-fuzz takes them from here")]
mod targets;

use std::fs;
use std::path::Path;

use mutator::Mutator;

/// Inputs for each target: seconds in all.
const INPUTS: usize = 2000;

fn check(name: &str) {
    let seeds = targets::seeds(name);
    assert!(!seeds.is_empty(), "{name} starts from something");
    for seed in &seeds {
        targets::run(name, seed);
    }
    let mut mutator = Mutator::new(seeds);
    for _ in 0..INPUTS {
        targets::run(name, &mutator.next());
    }
}

/// One test for each target, so that they run side by side.
macro_rules! targets {
    ($($test:ident: $name:literal),* $(,)?) => {
        $(#[test]
        fn $test() {
            check($name);
        })*
        const TESTED: &[&str] = &[$($name),*];
    };
}

targets! {
    plain_signatures_survive_any_bytes: "plain",
    pairs_survive_any_bytes: "pairs",
    layouts_of_a_partner_survive_any_bytes: "layouts",
    lists_of_versions_survive_any_bytes: "versions",
    signed_fields_and_times_survive_any_bytes: "fields",
    tokens_survive_any_bytes: "tokens",
    detached_tokens_survive_any_bytes: "detached",
    items_survive_any_bytes: "items",
    signed_claims_survive_any_bytes: "claims",
    keys_survive_any_bytes: "keys",
    schemes_of_a_partner_survive_any_bytes: "schemes",
    declared_sources_survive_any_bytes: "sources",
    events_survive_any_bytes: "events",
}

#[test]
fn every_target_is_run_here_and_by_cargo_fuzz() {
    let mut names: Vec<_> = targets::names().collect();
    assert_eq!(names, TESTED);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/fuzz_targets");
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name());
    let mut files: Vec<_> = files.map(|name| name.into_string().unwrap()).collect();
    files.sort();
    names.sort_unstable();
    assert_eq!(files, names.iter().map(|name| format!("{name}.rs")).collect::<Vec<_>>());
}
