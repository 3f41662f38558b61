//! Commands in the documents are ones that exist.

use std::collections::BTreeSet;

use clap::{Command, CommandFactory as _};

use crate::tree::{self, File};
use crate::{assert_clean, assert_found};

/// The commands of a text: words from a name to the end of the line, the span, or a shell operator.
fn invocations<'a>(line: &'a str, name: &str) -> Vec<Vec<&'a str>> {
    let starts = line.match_indices(name).filter(|(at, _)| {
        let before = line.get(..*at).and_then(|left| left.chars().next_back());
        matches!(before, None | Some(' ' | '`' | '/' | '(' | '"'))
    });
    starts
        .filter_map(|(at, _)| line.get(at.saturating_add(name.len())..))
        .filter(|rest| rest.starts_with(' '))
        .map(|rest| {
            let end = rest.find(['`', '#', ';', '>', '(', ')']).unwrap_or(rest.len());
            let words = rest.get(..end).unwrap_or_default().split_whitespace();
            words.take_while(|word| !matches!(*word, "|" | "||" | "&&" | "&" | "\\")).collect()
        })
        .collect()
}

/// Lines that show commands: fenced blocks, and the spans in backticks of the others.
fn shown(text: &str) -> Vec<(usize, String)> {
    let mut fenced = false;
    let mut shown = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if fenced {
            shown.push((number, line.to_owned()));
        } else {
            let spans = line.split('`').skip(1).step_by(2);
            shown.extend(spans.map(|span| (number, span.to_owned())));
        }
    }
    shown
}

/// What is wrong with the words after a command's name.
fn judge(root: &Command, words: &[&str]) -> Option<String> {
    let mut command = root;
    let mut flags: BTreeSet<&str> = flags_of(root).chain(["help", "version"]).collect();
    for word in words {
        let alternatives: Vec<&str> = word.split('|').collect();
        if let Some(flag) = word.strip_prefix("--") {
            let flag = flag.split('=').next().unwrap_or(flag);
            if flag.is_empty() {
                return None;
            }
            if !flags.contains(flag) {
                return Some(format!("`{}` has no `--{flag}`", command.get_name()));
            }
        } else if command.has_subcommands() && !word.starts_with(['-', '<', '.', '*', '…']) {
            let unknown = alternatives.iter().find(|name| command.find_subcommand(name).is_none());
            if let Some(name) = unknown {
                return Some(format!("`{}` has no `{name}`", command.get_name()));
            }
            command = command.find_subcommand(alternatives.first()?)?;
            if command.get_arguments().any(clap::Arg::is_trailing_var_arg_set) {
                return None;
            }
            flags.extend(flags_of(command));
        }
    }
    None
}

fn flags_of(command: &Command) -> impl Iterator<Item = &str> {
    command.get_arguments().filter_map(clap::Arg::get_long)
}

fn unknown(file: &File, name: &str, root: &Command) -> Vec<String> {
    let mut findings = Vec::new();
    for (number, text) in shown(&file.text) {
        for words in invocations(&text, name) {
            if let Some(finding) = judge(root, &words) {
                findings.push(file.finding(number, &finding));
            }
        }
    }
    findings
}

/// The sub-commands of a shell script: the arms of its `case`.
fn arms(script: &str) -> BTreeSet<&str> {
    let arms = script.lines().map(str::trim).filter_map(|line| line.split_once(')'));
    let names = arms.flat_map(|(names, _)| names.split('|').map(str::trim));
    names.filter(|name| !name.is_empty() && name.chars().all(char::is_alphanumeric)).collect()
}

fn unknown_arm(file: &File, name: &str, arms: &BTreeSet<&str>) -> Vec<String> {
    let mut findings = Vec::new();
    for (number, text) in shown(&file.text) {
        let commands = invocations(&text, name);
        for arm in commands.iter().filter_map(|words| words.first()) {
            if !arms.contains(arm) {
                findings.push(file.finding(number, &format!("`{name}` has no `{arm}`")));
            }
        }
    }
    findings
}

#[test]
fn commands_of_bankstream_exist() {
    let root = ctl::cli::Cli::command();
    let files = tree::markdown_files();
    assert_clean(
        &files.iter().flat_map(|file| unknown(file, "bankstream", &root)).collect::<Vec<_>>(),
    );
}

#[test]
fn commands_of_the_run_script_exist() {
    let script = tree::read("run");
    let arms = arms(&script);
    let files = tree::markdown_files();
    assert_clean(
        &files.iter().flat_map(|file| unknown_arm(file, "./run", &arms)).collect::<Vec<_>>(),
    );
}

#[test]
fn a_command_that_does_not_exist_is_found() {
    let flag = |name: &'static str| clap::Arg::new(name).long(name);
    let root = Command::new("tool").arg(flag("json").global(true)).subcommand(
        Command::new("topic").subcommand(Command::new("list")).subcommand(Command::new("show")),
    );
    let check = |text: &str| unknown(&File::new("a.md", text), "tool", &root);
    assert_clean(&check("run `tool topic list --json`, a tool topics love\n"));
    assert_clean(&check("```sh\ntool topic list|show | sort\n```\n"));
    assert_found(&check("run `tool topics`"), "`tool` has no `topics`");
    assert_found(&check("run `tool topic drop`"), "`topic` has no `drop`");
    assert_found(&check("```\ntool topic list --yaml\n```"), "a.md:2: `list` has no `--yaml`");
    let arms = arms("case $1 in\n  go | stop) go ;;\n  *) fail ;;\nesac\n");
    assert_eq!(arms, BTreeSet::from(["go", "stop"]));
    let check = |text: &str| unknown_arm(&File::new("a.md", text), "./it", &arms);
    assert_clean(&check("run `./it go --fast`"));
    assert_found(&check("run `./it jump`"), "`./it` has no `jump`");
}
