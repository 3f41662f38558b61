//! What is refused, and what goes on after it.

use super::{
    super::{Entry, OpenError, open},
    NOW, append, changes, commit, commit_of, fresh, identity, loaded, place, reflects,
};

#[test]
fn directory_in_use_is_refused_with_the_process() {
    let (_place, dir) = place();
    let disk = fresh(&dir);
    let error = open(&dir, &identity(), NOW, &mut |_| {}).unwrap_err();
    let me = std::process::id();
    assert!(matches!(error, OpenError::InUse { pid: Some(pid), .. } if pid == me), "{error}");
    assert!(error.to_string().contains(&format!("is in use by process {me}: stop it")), "{error}");
    drop(disk);
    drop(fresh(&dir));
}

#[test]
fn directory_that_cannot_be_made_is_said() {
    let (place, dir) = place();
    std::fs::write(place.path().join("file"), "").unwrap();
    let error = open(&place.path().join("file/main_3"), &identity(), NOW, &mut |_| {}).unwrap_err();
    assert!(error.to_string().starts_with("cannot lock state directory /"), "{error}");
    drop(fresh(&dir));
}

#[test]
fn failed_append_leaves_nothing_and_forbids_a_snapshot_until_it_is_made_good() {
    let (_place, dir) = place();
    let mut disk = fresh(&dir);
    assert!(disk.begin_snapshot().is_err(), "there is no state yet");
    commit(&mut disk, 1, 11);
    let mut whole = disk.begin_snapshot().unwrap();
    let mut unbounded = reflects(2);
    unbounded.sources = vec![None; 5_000];
    let error = append(&mut disk, &unbounded, &changes(2, 11)).unwrap_err();
    assert_eq!(error.to_string(), "5000 offsets to remember; expected 1024 at most");
    whole.push(Entry { store: 0, key: b"ahead", value: Some(b"of the log") }).unwrap();
    assert!(whole.finish(&mut disk).is_err());
    drop(disk);

    let (mut disk, reflected, state) = loaded(&dir);
    assert_eq!(commit_of(&reflected, &state, 11), 1);
    commit(&mut disk, 2, 11);
    drop(disk);
    let (_disk, reflected, state) = loaded(&dir);
    assert_eq!(commit_of(&reflected, &state, 11), 2);
}
