//! House rules that the compiler and clippy do not know. No broker is needed.
//!
//! Every rule is a function from text to findings. One test runs it over the tree, another plants a
//! breach and expects it to be found.

#[cfg(test)]
mod code;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod compose;
#[cfg(test)]
mod declarations;
#[cfg(test)]
mod dependencies;
#[cfg(test)]
mod layers;
#[cfg(test)]
mod licences;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod links;
#[cfg(test)]
mod markers;
#[cfg(test)]
mod mentions;
#[cfg(test)]
mod monitoring;
#[cfg(test)]
mod names;
#[cfg(test)]
mod promises;
#[cfg(test)]
mod tree;

/// Fails with one finding a line.
#[track_caller]
fn assert_clean(findings: &[String]) {
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
}

/// Fails unless a planted breach was found, and found once.
#[track_caller]
fn assert_found(findings: &[String], expected: &str) {
    let [finding] = findings else { panic!("expected one finding, got {findings:?}") };
    assert!(finding.contains(expected), "`{finding}` does not say `{expected}`");
}
