//! `topology.toml`, the names in `schemas`, the Avro files and the documents agree.

use std::collections::BTreeSet;

use crate::tree;
use crate::{assert_clean, assert_found};

/// What `topology.toml` declares, as far as others must agree with it.
pub(crate) struct Declared {
    pub(crate) topics: BTreeSet<String>,
    pub(crate) values: BTreeSet<String>,
    pub(crate) apps: BTreeSet<String>,
}

pub(crate) fn declared() -> Declared {
    let table: toml::Table = tree::read("topology.toml").parse().expect("topology.toml is TOML");
    let keys = |name: &str| -> BTreeSet<String> {
        table[name].as_table().expect("is a table").keys().cloned().collect()
    };
    let topics = table["topics"].as_table().expect("is a table").values();
    let values = topics.map(|topic| topic["value"].as_str().expect("is a name").to_owned());
    Declared { topics: keys("topics"), apps: keys("apps"), values: values.collect() }
}

/// One finding for each name that only one side has.
fn differences(left: (&str, &BTreeSet<String>), right: (&str, &BTreeSet<String>)) -> Vec<String> {
    let only = |here: (&str, &BTreeSet<String>), there: (&str, &BTreeSet<String>)| -> Vec<String> {
        let missing = here.1.difference(there.1);
        missing.map(|name| format!("`{name}` is in {}, not in {}", here.0, there.0)).collect()
    };
    [only(left, right), only(right, left)].concat()
}

/// One finding for each name that a text does not have in backticks.
fn unnamed(names: &BTreeSet<String>, path: &str, text: &str) -> Vec<String> {
    let missing = names.iter().filter(|name| !text.contains(&format!("`{name}`")));
    missing.map(|name| format!("{path} does not name `{name}`")).collect()
}

/// The values of the string constants of a Rust file.
fn constants(text: &str) -> BTreeSet<String> {
    let declarations = text.lines().filter(|line| line.starts_with("pub const "));
    declarations.filter_map(|line| line.split('"').nth(1)).map(str::to_owned).collect()
}

/// The names in a folder, without an ending.
fn entries(folder: &str, ending: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(tree::root().join(folder)).expect("folder is there");
    let names = entries.map(|entry| entry.expect("entry is readable").file_name());
    names
        .map(|name| name.to_string_lossy().into_owned())
        .filter_map(|name| name.strip_suffix(ending).map(str::to_owned))
        .collect()
}

#[test]
fn topic_names_in_code_are_those_declared() {
    let names = constants(&tree::read("schemas/src/topics.rs"));
    let declared = declared();
    assert_clean(&differences(("schemas::topics", &names), ("topology.toml", &declared.topics)));
}

#[test]
fn value_schemas_are_those_committed() {
    let files = entries("schemas/avro", ".avsc");
    let declared = declared();
    assert_clean(&differences(("schemas/avro", &files), ("topology.toml", &declared.values)));
}

#[test]
fn processors_are_the_declared_apps() {
    let mut apps = entries("processors", "");
    apps.insert("ingress".to_owned());
    assert_clean(&differences(("processors/", &apps), ("topology.toml", &declared().apps)));
}

#[test]
fn architecture_names_every_app_and_topic() {
    let path = "docs/ARCHITECTURE.md";
    let declared = declared();
    let names = declared.apps.union(&declared.topics).cloned().collect();
    assert_clean(&unnamed(&names, path, &tree::read(path)));
}

#[test]
fn every_processor_tells_what_it_reads_and_writes() {
    let table: toml::Table = tree::read("topology.toml").parse().expect("topology.toml is TOML");
    let apps = table["apps"].as_table().expect("is a table");
    for app in entries("processors", "") {
        let path = format!("processors/{app}/README.md");
        let subs = apps[&app]["sub_topologies"].as_table().expect("is a table").values();
        let topics = subs.flat_map(|sub| [&sub["reads"], &sub["writes"]]);
        let names = topics
            .flat_map(|list| list.as_array().expect("is a list"))
            .map(|topic| topic.as_str().expect("is a name").to_owned());
        assert_clean(&unnamed(&names.collect(), &path, &tree::read(&path)));
    }
}

#[test]
fn a_disagreement_is_found() {
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let (code, file): (BTreeSet<String>, BTreeSet<String>) = (set(&["a", "b"]), set(&["b"]));
    let found = differences(("code", &code), ("file", &file));
    assert_found(&found, "`a` is in code, not in file");
    let found = differences(("file", &file), ("code", &code));
    assert_found(&found, "`a` is in code, not in file");
    assert_found(&unnamed(&code, "x.md", "only `b` and a"), "x.md does not name `a`");
    assert_eq!(constants("pub const A: &str = \"b\";\n"), set(&["b"]));
}
