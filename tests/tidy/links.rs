//! Links between documents, and the paths they name, lead somewhere.

use std::collections::BTreeSet;

use crate::tree::{self, File};
use crate::{assert_clean, assert_found};

/// The lines of a document outside fenced blocks, with their numbers.
pub(crate) fn prose(text: &str) -> Vec<(usize, &str)> {
    let mut fenced = false;
    let mut lines = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            lines.push((number, line));
        }
    }
    lines
}

/// The targets of the inline links of a line.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split(')').next())
}

/// The anchors of a document: its headings as GitHub writes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text).into_iter().filter(|(_, line)| line.starts_with('#'));
    headings.map(|(_, line)| slug(line.trim_start_matches('#').trim())).collect()
}

fn slug(heading: &str) -> String {
    let kept = heading.chars().filter(|next| next.is_alphanumeric() || " -_".contains(*next));
    kept.flat_map(char::to_lowercase).map(|next| if next == ' ' { '-' } else { next }).collect()
}

/// A target as seen from a file, from the root: `..` and `.` are resolved.
fn resolve(from: &str, target: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    parts.join("/")
}

fn broken(file: &File, read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut findings = Vec::new();
    for (number, line) in prose(&file.text) {
        for target in targets(line).filter(|target| !target.contains("://")) {
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path = if path.is_empty() { file.path.clone() } else { resolve(&file.path, path) };
            match read(&path) {
                None => findings.push(file.finding(number, &format!("`{path}` is not there"))),
                Some(text) if !anchor.is_empty() && !anchors(&text).contains(anchor) => {
                    findings.push(file.finding(number, &format!("`{path}` has no `#{anchor}`")));
                }
                Some(_) => {}
            }
        }
    }
    findings
}

/// Words in backticks that look like a path of this project but are not one.
fn lost_paths(file: &File, tops: &BTreeSet<String>) -> Vec<String> {
    let mut findings = Vec::new();
    for (number, line) in prose(&file.text) {
        for path in line.split('`').skip(1).step_by(2) {
            let top = path.split('/').next().unwrap_or_default();
            let is_path = path.contains('/') && tops.contains(top) && !path.contains(' ');
            let is_pattern = path.contains(['*', '<', '{', '…', ':', '$']);
            if is_path && !is_pattern && !tree::exists(path) {
                findings.push(file.finding(number, &format!("`{path}` is not there")));
            }
        }
    }
    findings
}

/// A text, or nothing for a folder; `None` when there is neither.
fn read(path: &str) -> Option<String> {
    let full = tree::root().join(path);
    if full.is_dir() { Some(String::new()) } else { std::fs::read_to_string(full).ok() }
}

#[test]
fn links_lead_somewhere() {
    let files = tree::markdown_files();
    assert_clean(&files.iter().flat_map(|file| broken(file, read)).collect::<Vec<_>>());
}

#[test]
fn named_paths_are_there() {
    let tops = tree::files().iter().map(|file| file.top().to_owned()).collect();
    let files = tree::markdown_files();
    assert_clean(&files.iter().flat_map(|file| lost_paths(file, &tops)).collect::<Vec<_>>());
}

#[test]
fn a_dead_link_is_found() {
    let read = |path: &str| (path == "docs/b.md").then(|| "# One: two `three`\n".to_owned());
    let check = |text: &str| broken(&File::new("docs/adr/a.md", text), read);
    assert_clean(&check("[b](../b.md#one-two-three) [c](https://c.example/x)"));
    assert_clean(&check("```\n[b](lost.md)\n```"));
    assert_found(&check("see [b](../c.md)"), "a.md:1: `docs/c.md` is not there");
    assert_found(&check("\nsee [b](../b.md#four)"), "a.md:2: `docs/b.md` has no `#four`");
    let tops = BTreeSet::from(["tests".to_owned()]);
    let lost = |text: &str| lost_paths(&File::new("a.md", text), &tops);
    assert_found(&lost("see `tests/gone.rs` and `other/gone.rs`"), "`tests/gone.rs`");
    assert_clean(&lost("see `tests/tidy/links.rs` and `tests/<name>.rs`"));
}
