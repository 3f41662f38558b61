//! Names that say nothing, and `mod.rs`.

use crate::tree::{self, File};
use crate::{assert_clean, assert_found};

/// A module with one of these names collects what nobody wanted to place.
const EMPTY_NAMES: [&str; 8] =
    ["common", "core", "helper", "helpers", "manager", "types", "util", "utils"];

fn bad_name(file: &File) -> Vec<String> {
    let mut findings = Vec::new();
    if file.name() == "mod.rs" {
        findings.push(format!("{}: write `foo.rs` beside `foo/`", file.path));
    }
    for part in file.path.trim_end_matches(".rs").split('/') {
        if EMPTY_NAMES.contains(&part) {
            findings.push(format!("{}: `{part}` says nothing: name what it answers", file.path));
        }
    }
    findings
}

#[test]
fn modules_and_folders_are_named_for_what_they_answer() {
    assert_clean(&tree::rust_files().iter().flat_map(bad_name).collect::<Vec<_>>());
}

#[test]
fn an_empty_name_is_found() {
    assert_found(&bad_name(&File::new("x/src/utils.rs", "")), "`utils` says nothing");
    assert_found(&bad_name(&File::new("x/src/common/a.rs", "")), "`common` says nothing");
    assert_found(&bad_name(&File::new("x/src/a/mod.rs", "")), "beside");
}
