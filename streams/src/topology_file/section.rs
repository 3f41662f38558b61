//! Walks the parsed TOML, notes what is wrong and goes on, so that one reading reports everything.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::finding::{Finding, Findings, Severity};
use super::nearest;

/// What one reading of a file notes down: findings, and the line of every key.
pub(super) struct Notes<'a> {
    file: String,
    text: &'a str,
    findings: RefCell<Findings>,
    lines: RefCell<BTreeMap<String, usize>>,
}

impl<'a> Notes<'a> {
    pub(super) fn new(path: &Path, text: &'a str) -> Self {
        Self {
            file: path.display().to_string(),
            text,
            findings: RefCell::default(),
            lines: RefCell::default(),
        }
    }

    /// Line, from 1, of the byte at `offset`.
    fn line(&self, offset: usize) -> usize {
        1 + self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
    }

    /// Notes an error about `key`, at the line of `offset` if there is one.
    pub(super) fn error(&self, offset: Option<usize>, key: &str, message: String) {
        self.findings.borrow_mut().push(Finding {
            severity: Severity::Error,
            file: self.file.clone(),
            line: offset.map(|offset| self.line(offset)),
            key: key.to_owned(),
            message,
        });
    }

    fn place(&self, key: &str, offset: usize) {
        self.lines.borrow_mut().insert(key.to_owned(), self.line(offset));
    }

    pub(super) fn into_parts(self) -> (Findings, BTreeMap<String, usize>) {
        let mut findings = self.findings.into_inner();
        findings.sort();
        (findings, self.lines.into_inner())
    }
}

/// Path of `key` below `parent`, quoted where TOML needs it.
pub(super) fn path_of(parent: &str, key: &str) -> String {
    let bare = !key.is_empty()
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    let key = if bare { key.to_owned() } else { format!("\"{key}\"") };
    if parent.is_empty() { key } else { format!("{parent}.{key}") }
}

/// One table of the file, with the keys that were asked for.
pub(super) struct Section<'a> {
    notes: &'a Notes<'a>,
    path: String,
    offset: usize,
    table: &'a DeTable<'a>,
    asked: Vec<&'static str>,
}

impl<'a> Section<'a> {
    pub(super) fn root(notes: &'a Notes<'a>, table: &'a DeTable<'a>) -> Self {
        Self { notes, path: String::new(), offset: 0, table, asked: Vec::new() }
    }

    /// Notes an error about this table as a whole.
    pub(super) fn error(&self, message: String) {
        self.notes.error(Some(self.offset), &self.path, message);
    }

    /// Notes an error about one of its keys.
    pub(super) fn error_at(&self, key: &str, message: String) {
        let offset = self.table.get(key).map_or(self.offset, |value| value.span().start);
        self.notes.error(Some(offset), &path_of(&self.path, key), message);
    }

    /// The value of `key` when it is there and `read` takes it; else notes what was `expected`.
    fn value<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        read: impl FnOnce(&'a DeValue<'a>) -> Option<T>,
    ) -> Option<T> {
        self.asked.push(key);
        let value = self.table.get(key)?;
        let path = path_of(&self.path, key);
        self.notes.place(&path, value.span().start);
        let read = read(value.get_ref());
        if read.is_none() {
            let found = shown(value.get_ref());
            self.notes.error(
                Some(value.span().start),
                &path,
                format!("expected {expected}, found {found}"),
            );
        }
        read
    }

    /// Notes that `key` is missing, when it is.
    pub(super) fn require(&self, key: &str, expected: &str) {
        if !self.table.contains_key(key) {
            let path = path_of(&self.path, key);
            self.notes.error(Some(self.offset), &path, format!("missing; expected {expected}"));
        }
    }

    /// A string that `read` understands.
    pub(super) fn string<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        self.value(key, expected, |value| match value {
            DeValue::String(text) => read(text),
            _ => None,
        })
    }

    /// A whole number from 1 to `max`.
    pub(super) fn number(&mut self, key: &'static str, max: i32) -> Option<i32> {
        let expected = format!("a whole number from 1 to {max}");
        self.require(key, &expected);
        self.value(key, &expected, |value| match value {
            DeValue::Integer(number) => {
                let digits = number.as_str().replace('_', "");
                let number = i32::from_str_radix(&digits, number.radix()).ok()?;
                (1..=max).contains(&number).then_some(number)
            }
            _ => None,
        })
    }

    /// A list of strings; empty when absent. Elements are placed as `key[index]`.
    pub(super) fn strings(&mut self, key: &'static str) -> Vec<String> {
        self.list(key, "a list of strings", 0)
    }

    /// A list of at least one string.
    pub(super) fn some_strings(&mut self, key: &'static str, expected: &str) -> Vec<String> {
        self.require(key, expected);
        self.list(key, expected, 1)
    }

    fn list(&mut self, key: &'static str, expected: &str, least: usize) -> Vec<String> {
        let path = path_of(&self.path, key);
        let notes = self.notes;
        let strings = self.value(key, expected, |value| {
            let DeValue::Array(items) = value else { return None };
            if items.len() < least {
                return None;
            }
            items
                .iter()
                .enumerate()
                .map(|(index, item)| {
                    notes.place(&format!("{path}[{index}]"), item.span().start);
                    item.get_ref().as_str().map(str::to_owned)
                })
                .collect()
        });
        strings.unwrap_or_default()
    }

    /// The tables below `key`, by name; none when absent.
    pub(super) fn tables(&mut self, key: &'static str) -> Vec<(String, Section<'a>)> {
        let path = path_of(&self.path, key);
        let notes = self.notes;
        let tables = self.value(key, "tables", |value| match value {
            DeValue::Table(table) => Some(table),
            _ => None,
        });
        let named = |(name, value): (&Spanned<_>, &'a Spanned<DeValue<'a>>)| {
            let name: &std::borrow::Cow<'_, str> = name.get_ref();
            Self::below(notes, &path, name, value)
        };
        tables.map(|tables| tables.iter().filter_map(named).collect()).unwrap_or_default()
    }

    /// Strings by name below `key`, each as `read` understands it; none when absent. One that is not
    /// understood is noted and left out.
    pub(super) fn named_strings<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> BTreeMap<String, T> {
        let (path, notes) = (path_of(&self.path, key), self.notes);
        let table = self.value(key, &format!("a table of names, each with {expected}"), |value| {
            if let DeValue::Table(table) = value { Some(table) } else { None }
        });
        let mut found = BTreeMap::new();
        for (name, value) in table.into_iter().flatten() {
            let name: &str = name.get_ref();
            let (path, offset) = (path_of(&path, name), value.span().start);
            notes.place(&path, offset);
            if let Some(value) = value.get_ref().as_str().and_then(&read) {
                found.insert(name.to_owned(), value);
            } else {
                let shown = shown(value.get_ref());
                notes.error(Some(offset), &path, format!("expected {expected}, found {shown}"));
            }
        }
        found
    }

    fn below(
        notes: &'a Notes<'a>,
        parent: &str,
        name: &str,
        value: &'a Spanned<DeValue<'a>>,
    ) -> Option<(String, Section<'a>)> {
        let (path, offset) = (path_of(parent, name), value.span().start);
        notes.place(&path, offset);
        let DeValue::Table(table) = value.get_ref() else {
            let found = shown(value.get_ref());
            notes.error(Some(offset), &path, format!("expected a table, found {found}"));
            return None;
        };
        let section = Self { notes, path, offset, table, asked: Vec::new() };
        Some((name.to_owned(), section))
    }

    /// Notes a key as known without reading it, and the lines of the tables below it for who does.
    pub(super) fn skip(&mut self, key: &'static str) {
        self.asked.push(key);
        let Some(DeValue::Table(tables)) = self.table.get(key).map(Spanned::get_ref) else {
            return;
        };
        for (name, table) in tables {
            let path = path_of(&path_of(&self.path, key), name.get_ref());
            self.notes.place(&path, table.span().start);
        }
    }

    /// Notes every key that nobody asked for.
    pub(super) fn finish(self) {
        for key in self.table.keys() {
            let name: &str = key.get_ref();
            if self.asked.contains(&name) {
                continue;
            }
            let known: Vec<String> = self.asked.iter().map(|key| format!("`{key}`")).collect();
            let near = nearest::name(name, self.asked.iter().copied());
            let message =
                format!("unknown key{}; expected {}", nearest::hint(near), known.join(", "));
            self.notes.error(Some(key.span().start), &path_of(&self.path, name), message);
        }
    }
}

/// A value as a message shows it.
fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("\"{text}\""),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(items) if items.is_empty() => "an empty list".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}
