//! Rust text without what is only read by people: comments and literals become blanks.

/// The text with the same lines, where comments and the contents of literals are blank.
pub(crate) fn blank(text: &str) -> String {
    let mut scanner = Scanner { rest: text.chars().collect(), at: 0, out: String::new() };
    scanner.run();
    scanner.out
}

struct Scanner {
    rest: Vec<char>,
    at: usize,
    out: String,
}

impl Scanner {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.rest.get(self.at.saturating_add(ahead)).copied()
    }

    fn keep(&mut self) {
        if let Some(next) = self.peek(0) {
            self.out.push(next);
        }
        self.at = self.at.saturating_add(1);
    }

    fn hide(&mut self) {
        if let Some(next) = self.peek(0) {
            self.out.push(if next == '\n' { '\n' } else { ' ' });
        }
        self.at = self.at.saturating_add(1);
    }

    fn run(&mut self) {
        while let Some(next) = self.peek(0) {
            match (next, self.peek(1)) {
                ('/', Some('/')) => self.line_comment(),
                ('/', Some('*')) => self.block_comment(),
                ('"', _) => self.string(),
                ('r', Some('"' | '#')) if self.starts_raw() => self.raw_string(),
                ('\'', _) => self.quote(),
                _ => self.keep(),
            }
        }
    }

    fn line_comment(&mut self) {
        while self.peek(0).is_some_and(|next| next != '\n') {
            self.hide();
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0_usize;
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some('/'), Some('*')) => depth = depth.saturating_add(1),
                (Some('*'), Some('/')) => depth = depth.saturating_sub(1),
                (None, _) => return,
                _ => {
                    self.hide();
                    continue;
                }
            }
            self.hide();
            self.hide();
            if depth == 0 {
                return;
            }
        }
    }

    fn string(&mut self) {
        self.keep();
        while let Some(next) = self.peek(0) {
            match next {
                '"' => return self.keep(),
                '\\' => {
                    self.hide();
                    self.hide();
                }
                _ => self.hide(),
            }
        }
    }

    /// `r"` or `r##"`, and not the end of a longer word or a raw identifier.
    fn starts_raw(&self) -> bool {
        let before = self.at.checked_sub(1).and_then(|at| self.rest.get(at));
        let inside_word = before.is_some_and(|last| last.is_alphanumeric() || *last == '_');
        let is_byte_string = before == Some(&'b');
        let hashes = self.hashes_after(1);
        (!inside_word || is_byte_string) && self.peek(hashes.saturating_add(1)) == Some('"')
    }

    fn hashes_after(&self, from: usize) -> usize {
        let rest = self.rest.get(self.at.saturating_add(from)..).unwrap_or_default();
        rest.iter().take_while(|next| **next == '#').count()
    }

    fn raw_string(&mut self) {
        let hashes = self.hashes_after(1);
        for _ in 0..hashes.saturating_add(2) {
            self.keep();
        }
        while let Some(next) = self.peek(0) {
            if next == '"' && self.hashes_after(1) >= hashes {
                for _ in 0..=hashes {
                    self.keep();
                }
                return;
            }
            self.hide();
        }
    }

    /// A character literal, or a lifetime, which is kept.
    fn quote(&mut self) {
        let escaped = self.peek(1) == Some('\\');
        if !escaped && self.peek(2) != Some('\'') {
            return self.keep();
        }
        self.keep();
        self.hide();
        if escaped {
            self.hide();
        }
        while self.peek(0).is_some_and(|next| next != '\'') {
            self.hide();
        }
        self.keep();
    }
}

/// For each line of blanked text: whether it belongs to an item that only tests compile.
pub(crate) fn lines_of_tests(path: &str, blanked: &str) -> Vec<bool> {
    let is_test_file = is_test_path(path);
    let mut inside = None;
    let mut depth = 0_i64;
    let mut flags = Vec::new();
    for line in blanked.lines() {
        if line.contains("#[cfg(test)]") && inside.is_none() {
            inside = Some(depth);
        }
        let opened = line.contains('{');
        for next in line.chars() {
            match next {
                '{' => depth = depth.saturating_add(1),
                '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        flags.push(is_test_file || inside.is_some());
        let ends_item = opened || line.trim_end().ends_with([';', '}']);
        if inside.is_some_and(|start| depth <= start) && ends_item {
            inside = None;
        }
    }
    flags
}

/// Whether all of a file is compiled for tests only.
pub(crate) fn is_test_path(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.starts_with("tests/") || path.contains("/tests/")
}

#[cfg(test)]
mod tests {
    use super::{blank, lines_of_tests};

    #[track_caller]
    fn check(input: &str, expect: &str) {
        assert_eq!(blank(input), expect);
    }

    #[test]
    fn comments_and_literals_become_blanks() {
        check("a // b\nc", "a     \nc");
        check("a /* b /* c */ d */ e", "a                   e");
        check(r#"f("b\"c")"#, r#"f("    ")"#);
        check(r##"f(r#"b"c"#)"##, r##"f(r#"   "#)"##);
        check("x = '\"'; y", "x = ' '; y");
        check("x = '\\''; &'a str", "x = '  '; &'a str");
        check("br\"b\" bar\"c\"", "br\" \" bar\" \"");
    }

    #[test]
    fn lines_of_inline_tests_are_known() {
        let text = "fn a() {\n}\n#[cfg(test)]\nmod tests {\n  fn b() {}\n}\nfn c() {}\n";
        let expect = [false, false, true, true, true, true, false];
        assert_eq!(lines_of_tests("x/src/a.rs", text), expect);
        let text = "#[cfg(test)]\nmod tests;\nfn c() {}\n";
        assert_eq!(lines_of_tests("x/src/a.rs", text), [true, true, false]);
        assert_eq!(lines_of_tests("x/src/a/tests.rs", "fn c() {}\n"), [true]);
    }
}
