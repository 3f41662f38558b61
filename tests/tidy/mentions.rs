//! Variables and metrics that the documents name are ones that the programs know.

use std::collections::BTreeSet;

use crate::tree::{self, File};
use crate::{assert_clean, assert_found};

/// Words of code in a document: everything in fences, and what stands in backticks.
fn code_words(text: &str) -> Vec<(usize, &str)> {
    let mut fenced = false;
    let mut words = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            continue;
        }
        let spans: Vec<&str> =
            if fenced { vec![line] } else { line.split('`').skip(1).step_by(2).collect() };
        let is_word = |next: char| next.is_alphanumeric() || next == '_';
        for span in spans {
            words.extend(span.split(|next| !is_word(next)).map(|word| (number, word)));
        }
    }
    words
}

/// `KAFKA_BOOTSTRAP_SERVERS`: upper case with an underscore inside.
fn is_variable(word: &str) -> bool {
    let is_upper = |next: char| next.is_ascii_uppercase() || next.is_ascii_digit() || next == '_';
    word.chars().all(is_upper) && word.trim_matches('_').contains('_')
}

/// The name under which the source of a metric knows it, if the word is a metric's.
fn metric(word: &str) -> Option<&str> {
    let name = word.strip_prefix("streams_").or(word.starts_with("webhook_").then_some(word))?;
    // A histogram's parts are made from its name.
    ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part)).or(Some(name))
}

fn unknown(file: &File, literals: &BTreeSet<String>) -> Vec<String> {
    let mut findings = Vec::new();
    for (number, word) in code_words(&file.text) {
        let is_unknown = |name: &str| !literals.contains(name);
        if is_variable(word) && is_unknown(word) {
            findings.push(file.finding(number, &format!("no program knows `{word}`")));
        }
        if metric(word).is_some_and(is_unknown) {
            findings.push(file.finding(number, &format!("no program counts `{word}`")));
        }
    }
    findings
}

/// The words of every string literal, of Rust or of a shell, that hold one word.
fn literals(files: &[File]) -> BTreeSet<String> {
    let is_word = |next: char| next.is_alphanumeric() || next == '_';
    let texts = files.iter().flat_map(|file| file.text.split(|next: char| !is_word(next)));
    texts.filter(|word| word.contains('_')).map(str::to_owned).collect()
}

#[test]
fn variables_and_metrics_in_documents_exist() {
    let known = literals(&tree::rust_files());
    let files = tree::markdown_files();
    assert_clean(&files.iter().flat_map(|file| unknown(file, &known)).collect::<Vec<_>>());
}

#[test]
fn an_unknown_variable_is_found() {
    let known = literals(&[File::new("a.rs", "env = \"KNOWN_ONE\"; counter(\"lag_total\")")]);
    let check = |text: &str| unknown(&File::new("a.md", text), &known);
    assert_clean(&check("set `KNOWN_ONE=1`, see `streams_lag_total{x}`, not OTHER_ONE, `HTTP`"));
    assert_clean(&check("```\nKNOWN_ONE=1 streams_lag_total_count\n```"));
    assert_found(&check("set `OTHER_ONE`"), "no program knows `OTHER_ONE`");
    assert_found(&check("\nsee `webhook_lost_total`"), "a.md:2: no program counts");
}
