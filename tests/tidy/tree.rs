//! The files of the project, as they lie on disk.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders that hold nothing of the project's own.
const FOREIGN: [&str; 4] = [".git", ".bankstream", "target", "node_modules"];

/// A text file of the project.
pub(crate) struct File {
    /// Path from the root, with `/` between the parts.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// The last part of the path.
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// The first folder of the path.
    pub(crate) fn top(&self) -> &str {
        self.path.split('/').next().unwrap_or_default()
    }

    /// A finding at a line counted from nought.
    pub(crate) fn finding(&self, line: usize, message: &str) -> String {
        format!("{}:{}: {message}", self.path, line.saturating_add(1))
    }
}

/// The workspace's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ has a parent").to_owned()
}

/// Every text file of the project. What is not UTF-8 is left out.
pub(crate) fn files() -> Vec<File> {
    let root = root();
    let mut files = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("folder is readable") {
            let path = entry.expect("entry is readable").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() {
                if !FOREIGN.contains(&name.as_str()) {
                    folders.push(path);
                }
            } else if let Ok(text) = fs::read_to_string(&path) {
                let relative = path.strip_prefix(&root).expect("path is below the root");
                let parts: Vec<_> = relative.iter().map(|part| part.to_string_lossy()).collect();
                files.push(File { path: parts.join("/"), text });
            }
        }
    }
    files.sort_by(|left, right| left.path.cmp(&right.path));
    files
}

/// Every Rust file of the project.
pub(crate) fn rust_files() -> Vec<File> {
    with_extension(".rs")
}

/// Every Markdown file of the project.
pub(crate) fn markdown_files() -> Vec<File> {
    with_extension(".md")
}

fn with_extension(extension: &str) -> Vec<File> {
    files().into_iter().filter(|file| file.path.ends_with(extension)).collect()
}

/// A file that must be there.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("reading {path}: {error}"))
}

/// Whether a path from the root is there.
pub(crate) fn exists(path: &str) -> bool {
    root().join(path).exists()
}

#[test]
fn tree_holds_this_file_and_nothing_built() {
    let files = files();
    assert!(files.iter().any(|file| file.path == "tests/tidy/tree.rs"));
    assert!(!files.iter().any(|file| file.path.starts_with("target/")));
}
