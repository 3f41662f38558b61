//! How long a file may be: what a reader has to keep in mind at once.

use crate::code;
use crate::tree::{self, File};
use crate::{assert_clean, assert_found};

/// Lines outside tests.
const BODY_LINES_MAX: usize = 600;
/// Lines of a file, tests included.
const FILE_LINES_MAX: usize = 800;
/// Lines of tests at the end of a file; more go to a file of their own.
const INLINE_TEST_LINES_MAX: usize = 300;
/// `lib.rs` and `main.rs` declare and wire; they do not decide.
const WIRING_LINES_MAX: usize = 120;

fn too_long(file: &File) -> Vec<String> {
    let flags = code::lines_of_tests(&file.path, &code::blank(&file.text));
    let all = flags.len();
    let tests = flags.iter().filter(|is_test| **is_test).count();
    let is_wiring = matches!(file.name(), "lib.rs" | "main.rs");
    let limits = if code::is_test_path(&file.path) {
        vec![("lines", all, FILE_LINES_MAX)]
    } else {
        let body_max = if is_wiring { WIRING_LINES_MAX } else { BODY_LINES_MAX };
        vec![
            ("lines without tests", all.saturating_sub(tests), body_max),
            ("lines", all, FILE_LINES_MAX),
            ("lines of inline tests", tests, INLINE_TEST_LINES_MAX),
        ]
    };
    limits
        .into_iter()
        .filter(|(_, lines, max)| lines > max)
        .map(|(what, lines, max)| {
            format!("{}: {lines} {what}, at most {max}: split it by question answered", file.path)
        })
        .collect()
}

#[test]
fn no_file_is_too_long() {
    assert_clean(&tree::rust_files().iter().flat_map(too_long).collect::<Vec<_>>());
}

#[test]
fn a_long_file_is_found() {
    let lines = |count| "fn f() {}\n".repeat(count);
    assert_clean(&too_long(&File::new("x/src/a.rs", &lines(BODY_LINES_MAX))));
    let body = File::new("x/src/a.rs", &lines(BODY_LINES_MAX.saturating_add(1)));
    assert_found(&too_long(&body), "lines without tests");
    let main = File::new("x/src/main.rs", &lines(WIRING_LINES_MAX.saturating_add(1)));
    assert_found(&too_long(&main), "lines without tests");
    let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", lines(INLINE_TEST_LINES_MAX));
    assert_found(&too_long(&File::new("x/src/a.rs", &tests)), "lines of inline tests");
    let file = File::new("x/src/a/tests.rs", &lines(FILE_LINES_MAX.saturating_add(1)));
    assert_found(&too_long(&file), "801 lines");
}
