//! A promise in the documents names the test that holds it.

use std::collections::BTreeSet;

use crate::links::prose;
use crate::tree::{self, File};
use crate::{assert_clean, assert_found};

/// Words that promise.
const PROMISES: [&str; 6] =
    ["always", "at most once", "exactly once", "never", "no loss", "nothing is lost"];

/// A paragraph, a list item or a table row, with the number of its first line.
fn paragraphs(text: &str) -> Vec<(usize, String)> {
    let mut all: Vec<(usize, String)> = Vec::new();
    let mut starts = true;
    for (number, line) in prose(text) {
        let line = line.trim();
        let is_item = line.starts_with(['|', '-', '#'])
            || line.split_once(". ").is_some_and(|(left, _)| left.parse::<u32>().is_ok());
        if line.is_empty() {
            starts = true;
            continue;
        }
        if starts || is_item {
            all.push((number, String::new()));
        }
        starts = line.starts_with('#');
        if let Some((_, paragraph)) = all.last_mut() {
            paragraph.push_str(line);
            paragraph.push(' ');
        }
    }
    all
}

/// What a paragraph promises, if it does. Words in backticks and quotes are names, not promises.
fn promise(paragraph: &str) -> Option<&'static str> {
    let said: String = paragraph.split('`').step_by(2).collect();
    let said = said.to_lowercase().replace('-', " ");
    let words: Vec<&str> = said.split(|next: char| !next.is_alphanumeric()).collect();
    let said = format!(" {} ", words.join(" "));
    PROMISES.into_iter().find(|words| said.contains(&format!(" {words} ")))
}

/// The names of the tests of a Rust file.
fn tests_of(text: &str) -> impl Iterator<Item = &str> {
    let mut is_test = false;
    text.lines().filter_map(move |line| {
        let line = line.trim();
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        }
        let name = line.trim_start_matches("async ").strip_prefix("fn ")?;
        std::mem::take(&mut is_test).then(|| name.split(['(', '<']).next().unwrap_or(name))
    })
}

/// Files with tests, and the names of all tests.
fn evidence(files: &[File]) -> BTreeSet<String> {
    let mut known = BTreeSet::new();
    for file in files {
        for test in tests_of(&file.text) {
            known.insert(file.path.clone());
            known.insert(test.to_owned());
        }
    }
    known
}

fn unheld(file: &File, known: &BTreeSet<String>) -> Vec<String> {
    let is_held = |paragraph: &str| {
        let mut names = paragraph.split('`').skip(1).step_by(2);
        names.any(|name| {
            known.contains(name)
                || name.rsplit("::").next().is_some_and(|last| known.contains(last))
        })
    };
    let promising = paragraphs(&file.text).into_iter().filter_map(|(number, paragraph)| {
        let promise = promise(&paragraph)?;
        (!is_held(&paragraph)).then_some((number, promise))
    });
    promising
        .map(|(number, promise)| file.finding(number, &format!("`{promise}`: name the test")))
        .collect()
}

#[test]
fn promises_name_their_tests() {
    let known = evidence(&tree::rust_files());
    let files = tree::markdown_files();
    assert_clean(&files.iter().flat_map(|file| unheld(file, &known)).collect::<Vec<_>>());
}

#[test]
fn a_promise_without_a_test_is_found() {
    let rust = "#[test]\nfn it_holds() {}\nfn helper() {}\n#[tokio::test]\nasync fn too() {}\n";
    let known = evidence(&[File::new("x/tests/a.rs", rust)]);
    assert_eq!(known, ["it_holds", "too", "x/tests/a.rs"].map(str::to_owned).into());
    let check = |text: &str| unheld(&File::new("docs/a.md", text), &known);
    assert_clean(&check("It never\nfails (`a::it_holds`).\n"));
    assert_clean(&check("It never fails: `x/tests/a.rs`.\n\n`never` is a name. Sometimes so.\n"));
    assert_found(&check("Fine.\n\nIt never fails, see `helper`.\n"), "a.md:3: `never`");
    assert_found(&check("- held, never more (`too`)\n- exactly-once\n"), "a.md:2: `exactly once`");
    assert_found(&check("| a | always |\n| b | `it_holds` |\n"), "a.md:1: `always`");
}
