//! Real processes: killed, holding the directory, out of room.

use std::{
    env,
    io::{BufRead, BufReader, Lines},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};

use super::{
    super::{Disk, Entry, OpenError, Opened, open},
    NOW, State, append, apply, changes, commit, commit_of, fresh, identity, load, loaded, place,
    reflects, snapshot, state_after,
};

/// Before the directory, in an argument of a test that is run as a child.
const DIRECTORY: &str = "directory=";
/// Keys of the state: a few thousand commits overwrite each several times.
const KEYS: u32 = 1_009;

/// The directory, when this process is the child.
fn role() -> Option<PathBuf> {
    env::args().find_map(|argument| Some(argument.strip_prefix(DIRECTORY)?.into()))
}

/// This test in a process of its own; `shell` is what goes before it.
fn child(test: &str, dir: &Path, shell: &str) -> Child {
    let module = module_path!().split_once("::").unwrap().1;
    Command::new("sh")
        .args(["-c", &format!("{shell} exec \"$0\" --exact --nocapture \"$1\" --skip \"$2\"")])
        .arg(env::current_exe().unwrap())
        .arg(format!("{module}::{test}"))
        // A name to skip is the one argument that a test can be given.
        .arg(format!("{DIRECTORY}{}", dir.display()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn say(n: u32) {
    println!("\nat {n}");
}

struct Said(Lines<BufReader<ChildStdout>>);

impl Said {
    fn by(child: &mut Child) -> Self {
        Self(BufReader::new(child.stdout.take().unwrap()).lines())
    }
}

impl Iterator for Said {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        self.0
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("at ")?.parse().ok())
    }
}

/// Commits for ever, with a snapshot now and then, and says each commit when it is acknowledged.
fn commit_until_killed(dir: &Path) {
    let (mut disk, mut n, mut state) = match load(dir) {
        (Opened::Fresh(disk), state) => (disk, 0, state),
        (Opened::Loaded(disk, reflected), state) => {
            (disk, commit_of(&reflected, &state, KEYS), state)
        }
    };
    loop {
        let mut whole = disk.begin_snapshot().ok();
        for (key, value) in state.clone() {
            if let Some(whole) = &mut whole {
                whole.push(Entry { store: key.0, key: &key.1, value: Some(&value) }).unwrap();
            }
            n += 1;
            advance(&mut disk, &mut state, n);
        }
        for _ in 0..=n % 50 {
            n += 1;
            advance(&mut disk, &mut state, n);
        }
        if let Some(whole) = whole {
            whole.finish(&mut disk).unwrap();
        }
    }
}

fn advance(disk: &mut Disk, state: &mut State, n: u32) {
    commit(disk, n, KEYS);
    for change in changes(n, KEYS) {
        apply(state, change);
    }
    say(n);
}

#[test]
fn kill_nine_keeps_every_acknowledged_commit() {
    if let Some(dir) = role() {
        return commit_until_killed(&dir);
    }
    let (_place, dir) = place();
    let mut last = 0;
    for kill in 0..20 {
        let mut child = child("kill_nine_keeps_every_acknowledged_commit", &dir, "");
        let mut said = Said::by(&mut child);
        let seen = said.nth(kill * kill).unwrap();
        child.kill().unwrap();
        let acknowledged = said.last().unwrap_or(seen);
        child.wait().unwrap();
        let (_disk, reflected, state) = loaded(&dir);
        let n = commit_of(&reflected, &state, KEYS);
        assert!(n >= acknowledged, "commit {acknowledged} was acknowledged, the state is at {n}");
        assert!(n <= acknowledged + 1, "commit {acknowledged} was the last, the state is at {n}");
        assert!(n > last);
        last = n;
    }
    assert!(super::aside(&dir).is_empty());
}

#[test]
fn directory_of_another_process_is_refused_until_it_is_killed() {
    if let Some(dir) = role() {
        let _disk = fresh(&dir);
        say(1);
        // Until the other side is gone, or has killed this one.
        return std::io::stdin().lines().for_each(drop);
    }
    let (_place, dir) = place();
    let mut child = child("directory_of_another_process_is_refused_until_it_is_killed", &dir, "");
    assert_eq!(Said::by(&mut child).next(), Some(1));
    let error = open(&dir, &identity(), NOW, &mut |_| {}).unwrap_err();
    assert!(
        matches!(error, OpenError::InUse { pid: Some(pid), .. } if pid == child.id()),
        "{error}"
    );
    child.kill().unwrap();
    child.wait().unwrap();
    drop(fresh(&dir));
}

/// Appends until there is no more room in this file, then goes on in another one.
fn fill_up(dir: &Path) {
    let mut disk = fresh(dir);
    let mut state = State::new();
    let mut n = 0;
    let failed = loop {
        n += 1;
        match append(&mut disk, &reflects(n), &changes(n, KEYS)) {
            Ok(()) => changes(n, KEYS).into_iter().for_each(|change| apply(&mut state, change)),
            Err(error) => break error,
        }
        assert!(n < 100_000, "the limit on the size of a file does nothing");
    };
    assert_eq!(failed.kind(), std::io::ErrorKind::FileTooLarge);
    // Nothing of the commit is in the file, and as long as it is as large, it is refused again.
    let log = super::files_of(dir).pop().unwrap();
    assert_eq!(std::fs::metadata(&log).unwrap().len(), disk.length);
    assert!(append(&mut disk, &reflects(n), &changes(n, KEYS)).is_err());
    say(n - 1);
    // There is room again: the old log goes when the snapshot is there.
    let mut whole = disk.begin_snapshot().unwrap();
    for ((store, key), value) in &state {
        whole.push(Entry { store: *store, key, value: Some(value) }).unwrap();
    }
    commit(&mut disk, n, KEYS);
    whole.finish(&mut disk).unwrap();
    disk.settle().unwrap();
    assert!(!log.exists());
    commit(&mut disk, n + 1, KEYS);
    snapshot(&mut disk, &state_after(n + 1, KEYS));
    say(n + 1);
}

#[test]
fn full_disk_refuses_a_commit_whole_and_takes_the_next_ones() {
    if let Some(dir) = role() {
        return fill_up(&dir);
    }
    let (_place, dir) = place();
    // Without the signal, a write beyond the limit fails as one on a full disk does: in its middle.
    let limit = "trap '' XFSZ; ulimit -f 64;";
    let mut child = child("full_disk_refuses_a_commit_whole_and_takes_the_next_ones", &dir, limit);
    let said: Vec<_> = Said::by(&mut child).collect();
    assert!(child.wait().unwrap().success());
    let (_disk, reflected, state) = loaded(&dir);
    assert_eq!(commit_of(&reflected, &state, KEYS), said[1]);
    assert_eq!(said[0] + 2, said[1]);
}
