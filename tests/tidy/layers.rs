//! Who may import whom. The layer of a crate is its top folder.

use cargo_metadata::{Metadata, MetadataCommand, Package};

use crate::tree;
use crate::{assert_clean, assert_found};

/// Crates that import nothing internal.
const LEAVES: [&str; 4] = ["banks", "schemas", "signatures", "streams"];
/// Crates that import leaves, and never each other.
const BRANCHES: [&str; 4] = ["ctl", "ingress", "processors", "sandbox"];
/// The crate that may import anything.
const TESTS: &str = "tests";

/// The packages of the workspace, without what they depend on.
pub(crate) fn workspace() -> Metadata {
    let manifest = tree::root().join("Cargo.toml");
    MetadataCommand::new().manifest_path(manifest).no_deps().exec().expect("cargo reads Cargo.toml")
}

/// The top folder of a package.
fn layer(root: &str, manifest: &str) -> String {
    let inside = manifest.strip_prefix(root).unwrap_or(manifest).trim_start_matches('/');
    inside.split('/').next().unwrap_or_default().to_owned()
}

/// What is wrong with an import, if anything.
fn judge(importer: &str, imported: &str) -> Option<String> {
    let known = |name| LEAVES.contains(&name) || BRANCHES.contains(&name) || name == TESTS;
    if !known(importer) {
        return Some(format!("`{importer}` has no layer: give it one in tests/tidy/layers.rs"));
    }
    let is_fine = importer == TESTS || (BRANCHES.contains(&importer) && LEAVES.contains(&imported));
    (!is_fine).then(|| format!("`{importer}` imports `{imported}`: share a topic or nothing"))
}

fn imports(package: &Package, root: &str) -> Vec<String> {
    let importer = layer(root, package.manifest_path.as_str());
    let internal = package.dependencies.iter().filter_map(|dependency| dependency.path.as_ref());
    internal
        .filter_map(|path| judge(&importer, &layer(root, path.as_str())))
        .map(|finding| format!("{}: {finding}", package.name))
        .collect()
}

#[test]
fn crates_import_only_what_lies_below_them() {
    let metadata = workspace();
    let root = metadata.workspace_root.as_str();
    let packages = metadata.packages.iter();
    assert_clean(&packages.flat_map(|package| imports(package, root)).collect::<Vec<_>>());
}

#[test]
fn every_crate_has_a_layer_and_the_workspace_lints() {
    let metadata = workspace();
    for package in &metadata.packages {
        let name = layer(metadata.workspace_root.as_str(), package.manifest_path.as_str());
        assert_eq!(judge(TESTS, &name), None);
        assert!(LEAVES.contains(&&*name) || BRANCHES.contains(&&*name) || name == TESTS, "{name}");
        let manifest = std::fs::read_to_string(&package.manifest_path).expect("manifest is there");
        assert!(manifest.contains("[lints]\nworkspace = true"), "{}: no lints", package.name);
    }
}

#[test]
fn every_library_warns_about_missing_docs() {
    for package in workspace().packages {
        for target in package.targets.iter().filter(|target| target.is_lib()) {
            let text = std::fs::read_to_string(&target.src_path).expect("library is there");
            assert!(text.contains("#![warn(missing_docs)]"), "{}", target.src_path);
        }
    }
}

#[test]
fn a_forbidden_import_is_found() {
    assert_eq!(judge("ingress", "schemas"), None);
    assert_eq!(judge("tests", "ctl"), None);
    let findings = |importer, imported| judge(importer, imported).into_iter().collect::<Vec<_>>();
    assert_found(&findings("processors", "processors"), "share a topic or nothing");
    assert_found(&findings("ctl", "ingress"), "share a topic or nothing");
    assert_found(&findings("streams", "schemas"), "share a topic or nothing");
    assert_found(&findings("schemas", "streams"), "share a topic or nothing");
    assert_found(&findings("gadgets", "schemas"), "has no layer");
    assert_eq!(layer("/a/b", "/a/b/processors/x/Cargo.toml"), "processors");
}
