mod crash;
mod damage;
mod random;
mod refusal;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use super::{Disk, Entry, Identity, Opened, Reflects, Visit, open};

/// Store and key to value.
type State = BTreeMap<(u32, Vec<u8>), Vec<u8>>;
/// Store, key, value.
type Change = (u32, Vec<u8>, Option<Vec<u8>>);

const NOW: i64 = 1_700_000_000_000;

fn identity() -> Identity {
    Identity {
        cluster_id: "cluster".into(),
        application: "ledger".into(),
        task: "main_3".into(),
        stores: vec!["ledger-balances-changelog".into(), "ledger-seen-changelog".into()],
    }
}

/// What commit `n` says; all of it depends on `n`.
fn reflects(n: u32) -> Reflects {
    let n = i64::from(n);
    Reflects {
        sources: vec![Some(n), None],
        positions: vec![Some(n * 3), (n > 2).then_some(n)],
        stream_time: n - 5,
        written_at: NOW + n,
    }
}

/// The changes of commit `n`: some new, some again, some deletions, over `keys` keys.
fn changes(n: u32, keys: u32) -> Vec<Change> {
    let one = |k: u32| {
        let key = (n * 7 + k * 3) % keys;
        let value =
            (!(n + k).is_multiple_of(5)).then(|| vec![n.to_le_bytes()[0]; (n + k) as usize % 13]);
        (key % 2, key.to_be_bytes().to_vec(), value)
    };
    (0..=n % 4).map(one).collect()
}

fn apply(state: &mut State, (store, key, value): Change) {
    match value {
        Some(value) => state.insert((store, key), value),
        None => state.remove(&(store, key)),
    };
}

/// The state after commits 1 to `n`.
fn state_after(n: u32, keys: u32) -> State {
    let mut state = State::new();
    for change in (1..=n).flat_map(|n| changes(n, keys)) {
        apply(&mut state, change);
    }
    state
}

fn append(disk: &mut Disk, reflects: &Reflects, changes: &[Change]) -> std::io::Result<()> {
    let mut entries = changes.iter().map(|(store, key, value)| Entry {
        store: *store,
        key,
        value: value.as_deref(),
    });
    disk.append(reflects, &mut entries)
}

fn commit(disk: &mut Disk, n: u32, keys: u32) {
    append(disk, &reflects(n), &changes(n, keys)).unwrap();
}

/// Opens, and what the visitor was told.
fn load(dir: &Path) -> (Opened, State) {
    let mut state = State::new();
    let opened = open(dir, &identity(), NOW, &mut |visit| match visit {
        Visit::Entry(Entry { store, key, value }) => {
            apply(&mut state, (store, key.to_vec(), value.map(<[u8]>::to_vec)));
        }
        Visit::Reset => state.clear(),
    });
    (opened.unwrap(), state)
}

fn fresh(dir: &Path) -> Disk {
    match load(dir) {
        (Opened::Fresh(disk), state) if state.is_empty() => disk,
        other => panic!("expected nothing: {other:?}"),
    }
}

fn loaded(dir: &Path) -> (Disk, Reflects, State) {
    match load(dir) {
        (Opened::Loaded(disk, reflects), state) => (disk, reflects, state),
        (Opened::Fresh(_), _) => panic!("expected a state"),
    }
}

/// Which commit the loaded state says it is, after checking that it is that one.
fn commit_of(reflected: &Reflects, state: &State, keys: u32) -> u32 {
    let n = u32::try_from(reflected.sources[0].unwrap()).unwrap();
    assert_eq!(*reflected, reflects(n));
    assert_eq!(*state, state_after(n, keys), "after commit {n}");
    n
}

/// Writes the whole state as a snapshot.
fn snapshot(disk: &mut Disk, state: &State) {
    let mut snapshot = disk.begin_snapshot().unwrap();
    for ((store, key), value) in state {
        snapshot.push(Entry { store: *store, key, value: Some(value) }).unwrap();
    }
    snapshot.finish(disk).unwrap();
    disk.settle().unwrap();
}

/// A directory for the state, in one that goes away. In memory where the machine has a place for
/// that: there are thousands of syncs.
fn place() -> (TempDir, PathBuf) {
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    let place = place.unwrap();
    let dir = place.path().join("main_3");
    (place, dir)
}

/// Files of a directory except its lock, in order.
fn files_of(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.file_name().unwrap() != "LOCK");
    files.sort();
    files
}

/// What a crash leaves of a directory: its files, copied while it is open.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in files_of(from) {
        fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
    }
}

/// Directories set aside beside this one.
fn aside(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir.parent().unwrap()).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.starts_with("main_3.")).collect();
    names.sort();
    names
}

#[test]
fn nothing_is_there_before_the_first_commit() {
    let (_place, dir) = place();
    drop(fresh(&dir));
    drop(fresh(&dir));
    assert_eq!(files_of(&dir).len(), 1);
}

#[test]
fn restore_that_was_cut_off_leaves_nothing_behind() {
    let (_place, dir) = place();
    let mut disk = fresh(&dir);
    let begun = Reflects { sources: vec![None; 2], ..reflects(0) };
    append(&mut disk, &begun, &changes(1, 11)).unwrap();
    append(&mut disk, &begun, &changes(2, 11)).unwrap();
    let (_elsewhere, crashed) = place();
    copy(&dir, &crashed);
    let mut disk = fresh(&crashed);
    assert!(aside(&crashed).is_empty(), "nobody wants to look at it");
    assert_eq!(files_of(&crashed).len(), 1);
    // From here on it is as any other.
    commit(&mut disk, 1, 11);
    drop(disk);
    let (_disk, reflected, state) = loaded(&crashed);
    assert_eq!(commit_of(&reflected, &state, 11), 1);
}

#[test]
fn state_comes_back_with_what_it_reflects() {
    let (_place, dir) = place();
    let mut disk = fresh(&dir);
    for n in 1..=20 {
        commit(&mut disk, n, 11);
    }
    disk.close().unwrap();
    let (mut disk, reflected, state) = loaded(&dir);
    assert_eq!(commit_of(&reflected, &state, 11), 20);
    commit(&mut disk, 21, 11);
    drop(disk);
    let (_disk, reflected, state) = loaded(&dir);
    assert_eq!(commit_of(&reflected, &state, 11), 21);
}

#[test]
fn two_snapshots_leave_one_and_its_log() {
    let (_place, dir) = place();
    let mut disk = fresh(&dir);
    for n in 1..=30 {
        commit(&mut disk, n, 11);
        if n % 10 == 0 {
            snapshot(&mut disk, &state_after(n, 11));
        }
    }
    commit(&mut disk, 31, 11);
    drop(disk);
    let names: Vec<_> =
        files_of(&dir).iter().map(|path| path.file_name().unwrap().to_owned()).collect();
    assert_eq!(names, ["00000000000000000003.log", "00000000000000000003.snapshot"]);
    let (_disk, reflected, state) = loaded(&dir);
    assert_eq!(commit_of(&reflected, &state, 11), 31);
}

#[test]
fn snapshot_alone_is_enough() {
    let (_place, dir) = place();
    let mut disk = fresh(&dir);
    commit(&mut disk, 1, 11);
    snapshot(&mut disk, &state_after(1, 11));
    drop(disk);
    let (_disk, reflected, state) = loaded(&dir);
    assert_eq!(commit_of(&reflected, &state, 11), 1);
}

#[test]
fn unfinished_snapshot_leaves_nothing_behind() {
    let (_place, dir) = place();
    let mut disk = fresh(&dir);
    commit(&mut disk, 1, 11);
    let mut snapshot = disk.begin_snapshot().unwrap();
    snapshot.push(Entry { store: 0, key: b"half", value: Some(b"done") }).unwrap();
    commit(&mut disk, 2, 11);
    let (_elsewhere, crashed) = place();
    copy(&dir, &crashed);
    assert_eq!(files_of(&crashed).len(), 3);
    let (_disk, reflected, state) = loaded(&crashed);
    assert_eq!(commit_of(&reflected, &state, 11), 2);
    assert_eq!(files_of(&crashed).len(), 2);
    drop(snapshot);
    assert_eq!(files_of(&dir).len(), 2);
}

#[test]
fn snapshot_is_wanted_when_the_log_is_twice_as_long_as_the_last_one() {
    let (_place, dir) = place();
    let mut disk = fresh(&dir);
    let large = vec![7; 20 << 20];
    let put = |disk: &mut Disk, n: u32| {
        let change = [(0, n.to_be_bytes().to_vec(), Some(large.clone()))];
        append(disk, &reflects(n), &change).unwrap();
    };
    put(&mut disk, 1);
    assert!(!disk.wants_snapshot(), "20 MiB");
    put(&mut disk, 2);
    assert!(disk.wants_snapshot(), "40 MiB");

    let unfinished = disk.begin_snapshot().unwrap();
    assert!(!disk.wants_snapshot(), "one is being written");
    assert!(disk.begin_snapshot().is_err(), "one is being written");
    drop(unfinished);
    assert!(!disk.wants_snapshot(), "one has just failed");
    put(&mut disk, 3);
    put(&mut disk, 4);
    assert!(disk.wants_snapshot(), "40 MiB after the one that failed");

    let state = (0..2).map(|n| ((0, vec![n]), large.clone())).collect();
    snapshot(&mut disk, &state);
    for n in 5..=8 {
        assert!(!disk.wants_snapshot(), "less than 80 MiB");
        put(&mut disk, n);
    }
    put(&mut disk, 9);
    assert!(disk.wants_snapshot(), "100 MiB after a snapshot of 40");
}
