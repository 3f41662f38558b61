//! Every dependency's licence is one that `deny.toml` allows.

use std::collections::BTreeSet;

use cargo_metadata::MetadataCommand;

use crate::tree;
use crate::{assert_clean, assert_found};

/// Whether an SPDX expression can be met by allowed licences. `AND` binds before `OR`.
fn is_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    // `/` is how crates wrote `OR` before SPDX expressions.
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut tokens = spaced.split_whitespace().peekable();
    let verdict = any_of(&mut tokens, allowed);
    verdict && tokens.next().is_none()
}

type Tokens<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any_of(tokens: &mut Tokens<'_>, allowed: &BTreeSet<String>) -> bool {
    let mut verdict = all_of(tokens, allowed);
    while tokens.next_if_eq(&"OR").is_some() {
        verdict |= all_of(tokens, allowed);
    }
    verdict
}

fn all_of(tokens: &mut Tokens<'_>, allowed: &BTreeSet<String>) -> bool {
    let mut verdict = one(tokens, allowed);
    while tokens.next_if_eq(&"AND").is_some() {
        verdict &= one(tokens, allowed);
    }
    verdict
}

fn one(tokens: &mut Tokens<'_>, allowed: &BTreeSet<String>) -> bool {
    if tokens.next_if_eq(&"(").is_some() {
        let verdict = any_of(tokens, allowed);
        return tokens.next_if_eq(&")").is_some() && verdict;
    }
    let mut name = tokens.next().unwrap_or_default().to_owned();
    if tokens.next_if_eq(&"WITH").is_some() {
        name = format!("{name} WITH {}", tokens.next().unwrap_or_default());
    }
    allowed.contains(&name)
}

fn policy() -> BTreeSet<String> {
    let table: toml::Table = tree::read("deny.toml").parse().expect("deny.toml is TOML");
    let list = table["licenses"]["allow"].as_array().expect("is a list");
    list.iter().map(|name| name.as_str().expect("is a name").to_owned()).collect()
}

#[test]
fn every_dependency_has_an_allowed_licence() {
    let manifest = tree::root().join("Cargo.toml");
    let options = ["--locked", "--filter-platform", "x86_64-unknown-linux-gnu"];
    let mut command = MetadataCommand::new();
    command.manifest_path(manifest).other_options(options.map(str::to_owned));
    let metadata = command.exec().expect("cargo knows the dependencies");
    let allowed = policy();
    let findings: Vec<String> = metadata
        .packages
        .iter()
        .filter(|package| !is_allowed(package.license.as_deref().unwrap_or_default(), &allowed))
        .map(|package| format!("{} {}: {:?}", package.name, package.version, package.license))
        .collect();
    assert_clean(&findings);
}

#[test]
fn a_foreign_licence_is_found() {
    let allowed: BTreeSet<String> =
        ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned).into();
    let check = |expression: &str| -> Vec<String> {
        let verdict = is_allowed(expression, &allowed);
        if verdict { Vec::new() } else { vec![expression.to_owned()] }
    };
    assert_clean(&check("MIT"));
    assert_clean(&check("GPL-3.0/MIT"));
    assert_clean(&check("(MIT OR GPL-3.0) AND Apache-2.0"));
    assert_clean(&check("Apache-2.0 WITH LLVM-exception"));
    assert_found(&check("MIT AND GPL-3.0"), "GPL-3.0");
    assert_found(&check("GPL-3.0 OR MIT AND AGPL-3.0"), "AGPL-3.0");
    assert_found(&check(""), "");
}
