//! Names that topics are made of.

use std::collections::HashMap;

use super::{Error, StoreSpec, SubTopology};

/// The longest name of an application or a store: a changelog's is made of both, and Kafka takes 249.
const NAME_BYTES_MAX: usize = 100;

/// Whether names of topics can be made of it.
pub(crate) fn is_name(name: &str) -> bool {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_fine)
}

pub(super) fn check_name(kind: &'static str, name: &str, errors: &mut Vec<Error>) {
    if !is_name(name) {
        errors.push(Error::Name { kind, name: name.to_owned() });
    }
}

/// Changelogs are named by application and store: each store needs a name of its own.
pub(super) fn check_stores(subs: &[SubTopology], errors: &mut Vec<Error>) {
    let mut known: HashMap<&str, &str> = HashMap::new();
    for sub in subs {
        for StoreSpec { name, .. } in &sub.stores {
            check_name("store", name, errors);
            // Twice in one sub-topology is found where it is declared.
            if let Some(first) = known.insert(name, &sub.name).filter(|it| *it != sub.name) {
                let (first, second) = (first.to_owned(), sub.name.clone());
                errors.push(Error::StoreTwice { name: name.clone(), first, second });
            }
        }
    }
}
