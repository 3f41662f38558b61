//! Every dependency that is declared is named by some source.

use cargo_metadata::Package;

use crate::layers::workspace;
use crate::tree::{self, File};
use crate::{assert_clean, assert_found};

/// The dependencies, of those given, that no file names.
fn unused<'a>(dependencies: &[&'a str], files: &[File]) -> Vec<&'a str> {
    let named = |name: &str| {
        let name = name.replace('-', "_");
        // A literal counts too: `#[serde(with = "serde_bytes")]`.
        let mut lines = files.iter().flat_map(|file| file.text.lines());
        lines.any(|line| !is_comment(line) && words(line).any(|word| word == name))
    };
    dependencies.iter().copied().filter(|name| !named(name)).collect()
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|next: char| !next.is_alphanumeric() && next != '_')
}

fn idle(package: &Package, root: &str) -> Vec<String> {
    let folder = package.manifest_path.parent().expect("a manifest has a folder").as_str();
    let folder = format!("{}/", folder.strip_prefix(root).unwrap_or(folder).trim_matches('/'));
    let files: Vec<File> =
        tree::rust_files().into_iter().filter(|file| file.path.starts_with(&folder)).collect();
    let names: Vec<&str> = package
        .dependencies
        .iter()
        .map(|dependency| dependency.rename.as_deref().unwrap_or(&dependency.name))
        .collect();
    unused(&names, &files)
        .into_iter()
        .map(|name| format!("{folder}Cargo.toml: `{name}` is declared but not used"))
        .collect()
}

#[test]
fn every_declared_dependency_is_used() {
    let metadata = workspace();
    let root = metadata.workspace_root.as_str();
    let packages = metadata.packages.iter();
    assert_clean(&packages.flat_map(|package| idle(package, root)).collect::<Vec<_>>());
}

#[test]
fn every_workspace_dependency_has_a_user() {
    let manifest: toml::Table = tree::read("Cargo.toml").parse().expect("Cargo.toml is TOML");
    let declared = manifest["workspace"]["dependencies"].as_table().expect("is a table");
    let metadata = workspace();
    let wanted = |name: &str| {
        let mut all = metadata.packages.iter().flat_map(|package| &package.dependencies);
        all.any(|dependency| dependency.name == *name)
    };
    // Our own crates are named once, for whoever will want them.
    let foreign = declared.iter().filter(|(_, wish)| wish.get("path").is_none());
    let idle = foreign.map(|(name, _)| name).filter(|name| !wanted(name));
    let findings: Vec<String> =
        idle.map(|name| format!("Cargo.toml: no crate wants `{name}`")).collect();
    assert_clean(&findings);
}

#[test]
fn an_unused_dependency_is_found() {
    let files = [File::new("x/src/lib.rs", "use tokio_util::task;\n// hex")];
    assert_eq!(unused(&["tokio-util", "hex"], &files), ["hex"]);
    assert_found(&[format!("{:?}", unused(&["serde"], &files))], "serde");
}
