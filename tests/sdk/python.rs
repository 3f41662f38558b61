//! Runs `sdk.py` where its packages are, and puts them there first.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use serde::Serialize;
use serde::de::DeserializeOwned;

const REQUIREMENTS: &str = include_str!("requirements.txt");

/// The interpreter of the virtual environment. It is made anew when the list of packages is another
/// than the one it was made from.
static PYTHON: LazyLock<PathBuf> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ has a parent");
    let folder = root.join(".bankstream/sdk");
    let (python, made_from) = (folder.join("bin/python"), folder.join("made-from.txt"));
    if fs::read_to_string(&made_from).is_ok_and(|list| list == REQUIREMENTS) {
        return python;
    }
    if folder.exists() {
        fs::remove_dir_all(&folder).expect("the old environment can be removed");
    }
    done(Command::new("python3").args(["-m", "venv"]).arg(&folder));
    let list = root.join("tests/sdk/requirements.txt");
    let quiet = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
    done(Command::new(&python).args(quiet).arg(list));
    fs::write(&made_from, REQUIREMENTS).expect("the note can be written");
    python
});

fn done(command: &mut Command) {
    let output = command.output().expect("python3 is there: `./run test` installs python3-venv");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed (packages come from PyPI): {said}");
}

/// `sdk.py` with `arguments`, given `input`; gives what it prints, line by line.
fn run(arguments: &[String], input: String) -> Vec<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("sdk/sdk.py");
    let mut child = Command::new(&*PYTHON)
        .arg("-B")
        .arg(script)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python runs");
    let mut stdin = child.stdin.take().expect("its input is ours");
    // both pipes are bounded: whoever only writes waits for ever
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("python ends");
    writer.join().expect("the writer ends").expect("python reads everything");
    assert!(output.status.success(), "sdk.py {arguments:?} failed");
    let text = String::from_utf8(output.stdout).expect("it prints text");
    text.lines().map(str::to_owned).collect()
}

/// `count` requests signed by each library, their bodies drawn from `seed`.
pub(crate) fn sign<T: DeserializeOwned>(seed: u64, count: usize) -> Vec<T> {
    let lines = run(&["sign".into(), seed.to_string(), count.to_string()], String::new());
    lines.iter().map(|line| serde_json::from_str(line).expect("a request on each line")).collect()
}

/// What its library says of each request: `true`, or `false` and why.
pub(crate) fn verify<T: Serialize>(cases: &[T]) -> Vec<String> {
    let line = |case| serde_json::to_string(case).expect("a request is JSON") + "\n";
    let answers = run(&["verify".into()], cases.iter().map(line).collect());
    assert_eq!(answers.len(), cases.len(), "one answer for each request");
    answers
}
