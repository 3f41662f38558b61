//! Words that must not be in the sources, or only at one place.

use crate::code;
use crate::tree::{self, File};
use crate::{assert_clean, assert_found};

/// Where the Kafka client's name may appear: adapters, and tests of the whole.
const KAFKA_ADAPTERS: [&str; 10] = [
    "streams/src/",
    // What is measured against the runtime: the client by hand.
    "streams/examples/bare_ledger/",
    "streams/examples/native_gain.rs",
    "streams/experiments/",
    "ingress/src/capture/topic.rs",
    "ingress/src/publish",
    "ingress/src/tail",
    "ingress/examples/bare_loop.rs", // what the ingress is measured against has no layers
    "ctl/src/",
    "tests/",
];

/// Where code may be unsafe: calls of the Kafka client that its safe API does not offer.
const UNSAFE_MODULE: &str = "streams/src/native";

const UNSAFE_REASON: &str = "unsafe code stays in `streams::native`";

/// Who may read the environment besides a `config.rs`. This list may shrink.
const ENVIRONMENT_READERS: [&str; 2] = [
    "streams/src/runtime/telemetry.rs", // logs start before arguments are read
    "tests/harness/size.rs",            // the size of the tests, which have no command line
];

/// A word that is banned in code, where, and why.
struct Ban {
    word: &'static str,
    reason: &'static str,
    applies: fn(path: &str, is_test: bool) -> bool,
}

const BANS: [Ban; 12] = [
    Ban { word: "todo!", reason: "write it or leave it out", applies: everywhere },
    Ban { word: "unimplemented!", reason: "write it or leave it out", applies: everywhere },
    Ban {
        word: "#[ignore",
        reason: "a test that does not run proves nothing",
        applies: everywhere,
    },
    Ban { word: "#[allow(", reason: "write #[expect(lint, reason)]", applies: everywhere },
    Ban { word: "#![allow(", reason: "write #[expect(lint, reason)]", applies: everywhere },
    Ban { word: "env::var", reason: "only config.rs reads the environment", applies: not_config },
    Ban {
        word: "env::var_os",
        reason: "only config.rs reads the environment",
        applies: not_config,
    },
    Ban { word: "env::vars", reason: "only config.rs reads the environment", applies: not_config },
    Ban { word: "fn test_", reason: "a test's name is a sentence", applies: everywhere },
    Ban { word: "unsafe", reason: UNSAFE_REASON, applies: not_native },
    Ban { word: "unsafe_code", reason: UNSAFE_REASON, applies: not_native },
    Ban { word: "rdkafka", reason: "Kafka's client stays behind adapters", applies: not_adapter },
];

fn everywhere(_: &str, _: bool) -> bool {
    true
}

fn not_config(path: &str, _: bool) -> bool {
    !path.ends_with("/config.rs") && !ENVIRONMENT_READERS.contains(&path)
}

fn not_native(path: &str, _: bool) -> bool {
    !path.starts_with(UNSAFE_MODULE)
}

fn not_adapter(path: &str, _: bool) -> bool {
    !KAFKA_ADAPTERS.iter().any(|prefix| path.starts_with(prefix))
}

fn banned(file: &File) -> Vec<String> {
    let blanked = code::blank(&file.text);
    let flags = code::lines_of_tests(&file.path, &blanked);
    let mut findings = Vec::new();
    for (line, (text, is_test)) in blanked.lines().zip(flags).enumerate() {
        for ban in &BANS {
            if (ban.applies)(&file.path, is_test) && has_word(text, ban.word) {
                findings.push(file.finding(line, &format!("`{}`: {}", ban.word, ban.reason)));
            }
        }
    }
    findings
}

/// Whether the text has the word, and not only as a part of a longer one.
fn has_word(text: &str, word: &str) -> bool {
    let is_inside =
        |next: Option<char>| next.is_some_and(|next| next.is_alphanumeric() || next == '_');
    let is_open = word.ends_with(['(', '_']);
    text.match_indices(word).any(|(at, found)| {
        let before = text.get(..at).and_then(|left| left.chars().next_back());
        let after =
            text.get(at.saturating_add(found.len())..).and_then(|right| right.chars().next());
        !is_inside(before) && (is_open || !is_inside(after))
    })
}

/// A pause in a test is fine as the step of a loop that waits for a condition, or in a function
/// called `silence`, where the pause is what the test is about: a sender that says nothing.
fn sleeps(file: &File) -> Vec<String> {
    let blanked = code::blank(&file.text);
    let flags = code::lines_of_tests(&file.path, &blanked);
    let mut may_pause = false;
    let mut findings = Vec::new();
    for (line, (text, is_test)) in blanked.lines().zip(flags).enumerate() {
        if has_word(text, "fn") {
            may_pause = text.contains("fn silence(");
        }
        if ["loop", "while", "for"].iter().any(|word| has_word(text, word)) {
            may_pause = true;
        }
        if is_test && has_word(text, "sleep(") && !may_pause {
            findings.push(file.finding(line, "a test sleeps: wait for a condition, in a loop"));
        }
    }
    findings
}

/// What is left for later belongs to an issue, and a machine's folders to nobody.
fn leftovers(file: &File) -> Vec<String> {
    let marks = [concat!("FIX", "ME"), concat!("XX", "X"), concat!("HA", "CK")];
    let folders = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];
    let mut findings = Vec::new();
    for (line, text) in file.text.lines().enumerate() {
        for mark in marks.iter().filter(|mark| has_word(text, mark)) {
            findings.push(file.finding(line, &format!("`{mark}` is left")));
        }
        for folder in folders.iter().filter(|folder| has_path(text, folder)) {
            findings.push(file.finding(line, &format!("`{folder}` is a machine's own path")));
        }
    }
    findings
}

/// Whether the text has an absolute path that begins with the folder.
fn has_path(text: &str, folder: &str) -> bool {
    text.match_indices(folder).any(|(at, _)| {
        let before = text.get(..at).and_then(|left| left.chars().next_back());
        !before.is_some_and(|next| next.is_alphanumeric() || "_-.}/".contains(next))
    })
}

#[test]
fn banned_words_are_not_used() {
    assert_clean(&tree::rust_files().iter().flat_map(banned).collect::<Vec<_>>());
}

#[test]
fn tests_do_not_sleep() {
    assert_clean(&tree::rust_files().iter().flat_map(sleeps).collect::<Vec<_>>());
}

#[test]
fn nothing_is_left_over() {
    let files = tree::files();
    let own = files.iter().filter(|file| file.name() != "Cargo.lock");
    assert_clean(&own.flat_map(leftovers).collect::<Vec<_>>());
}

#[test]
fn scripts_can_be_run() {
    use std::os::unix::fs::PermissionsExt as _;

    for script in ["run", ".ci/run", "docker/healthcheck"] {
        let metadata = std::fs::metadata(tree::root().join(script)).expect("script is there");
        let mode = metadata.permissions().mode();
        assert_eq!(mode & 0o111, 0o111, "{script} is not executable: chmod +x {script}");
    }
}

#[test]
fn a_planted_word_is_found() {
    let check = |path: &str, text: &str, expect: &str| {
        assert_found(&banned(&File::new(path, text)), expect);
    };
    check("x/src/a.rs", "fn a() { todo!() }", "todo!");
    check("x/src/a.rs", "fn a() { unimplemented!() }", "unimplemented!");
    check("x/src/a.rs", "#[test]\n#[ignore]\nfn a() {}", "a.rs:2: `#[ignore`");
    check("x/src/a.rs", "#[allow(dead_code)]\nfn a() {}", "#[expect");
    check("x/src/a.rs", "fn a() { std::env::var(\"B\") }", "only config.rs");
    check("x/src/a.rs", "fn test_it() {}", "a sentence");
    check("streams/src/a.rs", "fn a() { unsafe { b() } }", "streams::native");
    check("streams/src/a.rs", "#![expect(unsafe_code)]", "streams::native");
    check("processors/x/src/a.rs", "use rdkafka::Message;", "behind adapters");
    let clean = "// todo!\nfn a() { log(\"todo!\") }";
    assert_clean(&banned(&File::new("x/src/a.rs", clean)));
    let native = "fn a() { unsafe { b() } }";
    assert_clean(&banned(&File::new("streams/src/native/a.rs", native)));
    assert_clean(&banned(&File::new("x/src/config.rs", "fn a() { env::var(\"B\") }")));
}

#[test]
fn a_planted_sleep_is_found() {
    let test = |body: &str| format!("#[cfg(test)]\nmod tests {{\n fn a() {{\n{body}\n}}\n}}\n");
    let sleeping = File::new("x/src/a.rs", &test("  tokio::time::sleep(SECOND).await;"));
    assert_found(&sleeps(&sleeping), "a.rs:4: a test sleeps");
    let waiting = test("  while !done() {\n  tokio::time::sleep(STEP).await;\n }");
    assert_clean(&sleeps(&File::new("x/src/a.rs", &waiting)));
    let silent = test("}\nasync fn silence() { sleep(LONG).await;");
    assert_clean(&sleeps(&File::new("x/src/a.rs", &silent)));
}

#[test]
fn a_planted_leftover_is_found() {
    let check = |text: &str, expect: &str| {
        assert_found(&leftovers(&File::new("docs/a.md", text)), expect);
    };
    check(concat!("// FIX", "ME later"), "is left");
    check(concat!("cd /ro", "ot/project"), "a machine's own path");
    check(concat!("see /ho", "me/me/notes"), "a machine's own path");
    assert_clean(&leftovers(&File::new("docs/a.md", concat!("https://a.example/wo", "rk/b"))));
}
