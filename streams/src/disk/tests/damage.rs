//! Files that are not as they were written.

use std::{fs, path::Path};

use super::{
    super::{Identity, Opened, Reason, aside::KEPT, files, frame, open},
    NOW, aside, changes, commit, commit_of, copy, files_of, fresh, identity, load, loaded, place,
    snapshot, state_after,
};

/// A directory with a snapshot, the log it begins, and the log of another snapshot that was begun.
fn fill(dir: &Path) {
    let mut disk = fresh(dir);
    commit(&mut disk, 1, 11);
    commit(&mut disk, 2, 11);
    let mut whole = disk.begin_snapshot().unwrap();
    commit(&mut disk, 3, 11);
    for ((store, key), value) in &state_after(3, 11) {
        whole.push(super::Entry { store: *store, key, value: Some(value) }).unwrap();
    }
    whole.finish(&mut disk).unwrap();
    disk.settle().unwrap();
    commit(&mut disk, 4, 11);
    drop(disk.begin_snapshot().unwrap());
    commit(&mut disk, 5, 11);
    commit(&mut disk, 6, 11);
}

/// Loads a copy after a file of it was changed, and gives the commit it is at.
fn commit_after(dir: &Path, file: &Path, change: impl FnOnce(&mut Vec<u8>)) -> Option<u32> {
    let (_place, copied) = place();
    copy(dir, &copied);
    let file = copied.join(file.file_name().unwrap());
    let mut bytes = fs::read(&file).unwrap();
    change(&mut bytes);
    fs::write(&file, bytes).unwrap();
    match load(&copied) {
        (Opened::Loaded(mut disk, reflected), state) => {
            let n = commit_of(&reflected, &state, 11);
            // It goes on from there.
            commit(&mut disk, n + 1, 11);
            drop(disk);
            let (_disk, reflected, state) = loaded(&copied);
            assert_eq!(commit_of(&reflected, &state, 11), n + 1);
            Some(n)
        }
        (Opened::Fresh(_), state) => {
            assert!(state.is_empty(), "the visitor was not reset");
            assert_eq!(aside(&copied).len(), 1);
            None
        }
    }
}

#[test]
fn no_flipped_byte_yields_a_state_that_never_was() {
    let (_place, dir) = place();
    fill(&dir);
    for file in files_of(&dir) {
        for at in 0..fs::metadata(&file).unwrap().len() {
            let at = usize::try_from(at).unwrap();
            for flip in [0x01, 0xff] {
                let found = commit_after(&dir, &file, |bytes| bytes[at] ^= flip);
                assert!(
                    found.is_none_or(|n| (3..6).contains(&n)),
                    "{} {at}: {found:?}",
                    file.display()
                );
            }
        }
    }
}

#[test]
fn log_cut_at_any_byte_is_the_state_before_the_cut() {
    let (_place, dir) = place();
    let mut disk = fresh(&dir);
    let log = files::log(&dir, 0);
    let mut ends = vec![fs::metadata(&log).unwrap().len()];
    for n in 1..=4 {
        commit(&mut disk, n, 11);
        ends.push(fs::metadata(&log).unwrap().len());
    }
    drop(disk);
    for cut in ends[1]..=ends[4] {
        let expected = ends.iter().rposition(|end| *end <= cut).unwrap();
        let found = commit_after(&dir, &log, |bytes| bytes.truncate(usize::try_from(cut).unwrap()));
        assert_eq!(found, u32::try_from(expected).ok(), "cut to {cut}");
    }
    let whole = fs::read(&log).unwrap();
    for cut in 0..ends[1] {
        fs::write(&log, &whole[..usize::try_from(cut).unwrap()]).unwrap();
        drop(fresh(&dir));
        assert!(aside(&dir).is_empty(), "a crash is no damage");
    }
}

#[test]
fn log_between_two_that_lost_its_end_ends_the_state() {
    let (_place, dir) = place();
    fill(&dir);
    let log = files::log(&dir, 1);
    let whole = usize::try_from(fs::metadata(&log).unwrap().len()).unwrap();
    let found: Vec<_> =
        (0..=whole).map(|cut| commit_after(&dir, &log, |log| log.truncate(cut))).collect();
    let (last, cut) = found.split_last().unwrap();
    assert_eq!(*last, Some(6));
    // A snapshot that was finished after commit 3 is nothing without that commit.
    let first_good = cut.iter().position(Option::is_some).unwrap();
    assert!(cut[first_good..].iter().all(|n| *n == Some(3)), "{cut:?}");
    assert!(whole - first_good > 20, "{cut:?}");
}

#[test]
fn pages_that_were_never_written_are_cut_off() {
    let (_place, dir) = place();
    fill(&dir);
    let last = files::log(&dir, 2);
    assert_eq!(commit_after(&dir, &last, |bytes| bytes.resize(bytes.len() + 5_000, 0)), Some(6));
    let zeroed = |bytes: &mut Vec<u8>| {
        let from = bytes.len() - 10;
        bytes[from..].fill(0);
    };
    assert_eq!(commit_after(&dir, &last, zeroed), Some(5));
}

#[test]
fn missing_files_are_damage() {
    let check = |name: &str| {
        let (_place, dir) = place();
        fill(&dir);
        fs::remove_file(dir.join(name)).unwrap();
        drop(fresh(&dir));
        assert_eq!(aside(&dir), [format!("main_3.corrupt-{NOW}")], "without {name}");
    };
    check("00000000000000000001.snapshot");
    check("00000000000000000001.log");
}

#[test]
fn lengths_of_a_hostile_file_ask_for_no_memory() {
    let check = |payload: &[u8]| {
        let (_place, dir) = place();
        let mut disk = fresh(&dir);
        commit(&mut disk, 1, 11);
        drop(disk);
        let log = files::log(&dir, 0);
        let mut bytes = fs::read(&log).unwrap();
        let start = frame::begin(&mut bytes);
        bytes.extend_from_slice(payload);
        frame::seal(&mut bytes, start, frame::Kind::Commit, 1).unwrap();
        fs::write(&log, bytes).unwrap();
        drop(fresh(&dir));
        assert_eq!(aside(&dir).len(), 1, "{payload:?}");
    };
    let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
    let nothing = [0; 18];
    check(&[]);
    check(&huge);
    check(&[&nothing[..], &[0], &huge, &[1, b'k']].concat());
    check(&[&nothing[..], &[0, 1], &huge, b"k"].concat());
    check(&[&nothing[..], &[2, 1, 1, b'k']].concat());
    check(&[&nothing[..], &[0, 0xff]].concat());
}

#[test]
fn foreign_state_is_set_aside() {
    let check = |change: fn(&mut Identity)| {
        let (_place, dir) = place();
        fill(&dir);
        let mut other = identity();
        change(&mut other);
        let mut reset = false;
        let opened = open(&dir, &other, NOW, &mut |visit| reset = visit == super::Visit::Reset);
        assert!(matches!(opened, Ok(Opened::Fresh(_))));
        assert!(reset);
        assert_eq!(aside(&dir), [format!("main_3.foreign-{NOW}")]);
    };
    check(|identity| identity.cluster_id = "another".into());
    check(|identity| identity.application = "another".into());
    check(|identity| identity.task = "main_4".into());
    check(|identity| identity.stores.truncate(1));
    check(|identity| identity.stores.reverse());
}

#[test]
fn another_version_of_the_format_is_set_aside() {
    let (_place, dir) = place();
    fill(&dir);
    for file in files_of(&dir) {
        let mut bytes = fs::read(&file).unwrap();
        bytes[8] += 1;
        fs::write(&file, bytes).unwrap();
    }
    drop(fresh(&dir));
    assert_eq!(aside(&dir), [format!("main_3.foreign-{NOW}")]);
}

#[test]
fn only_the_newest_directories_set_aside_are_kept() {
    let (_place, dir) = place();
    let disk = fresh(&dir);
    fs::create_dir(dir.with_file_name("main_3.not-ours")).unwrap();
    fs::create_dir(dir.with_file_name("main_31.stale-1")).unwrap();
    disk.set_aside(Reason::Stale, NOW - 2).unwrap();
    fresh(&dir).set_aside(Reason::Corrupt, NOW - 1).unwrap();
    fresh(&dir).set_aside(Reason::Stale, NOW).unwrap();
    let moved_to = fresh(&dir).set_aside(Reason::Stale, NOW).unwrap();
    assert_eq!(moved_to, dir.with_file_name(format!("main_3.stale-{}", NOW + 1)));
    let kept = [format!("main_3.stale-{NOW}"), format!("main_3.stale-{}", NOW + 1)];
    assert_eq!(kept.len(), KEPT);
    assert_eq!(aside(&dir), [&["main_3.not-ours".to_owned()][..], &kept].concat());
    assert!(dir.with_file_name("main_31.stale-1").exists());
    drop(fresh(&dir));
}

#[test]
fn state_is_the_same_after_it_was_set_aside_and_restored() {
    let (_place, dir) = place();
    let mut disk = fresh(&dir);
    commit(&mut disk, 1, 11);
    disk.set_aside(Reason::Stale, NOW).unwrap();
    let mut disk = fresh(&dir);
    for n in 1..=3 {
        commit(&mut disk, n, 11);
    }
    snapshot(&mut disk, &state_after(3, 11));
    drop(disk);
    let (_disk, reflected, state) = loaded(&dir);
    assert_eq!(commit_of(&reflected, &state, 11), 3);
    assert!(!changes(1, 11).is_empty());
}
