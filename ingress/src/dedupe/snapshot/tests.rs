use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::clock::Stopwatch;
use crate::dedupe::{BodyPrint, Claim};
use crate::metrics::Metrics;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const NOW: i64 = 1_772_501_000_000;

fn memory(window_ms: i64, ids_max: usize) -> Arc<Dedupe> {
    Dedupe::new(window_ms, ids_max, Metrics::new().unwrap().dedupe)
}

fn key(id: u32) -> EventKey {
    EventKey::new("up", &id.to_string())
}

fn print(body: u8) -> BodyPrint {
    BodyPrint::from_hex(&format!("{body:02x}").repeat(32)).unwrap()
}

fn header(dedupe: &Dedupe) -> Header {
    let last = Mark { offset: 6, time: NOW, event: Some(key(1)) };
    Header {
        cluster: "c".to_owned(),
        topic: "t".to_owned(),
        written_at: NOW,
        since: 0,
        frame: dedupe.frame(),
        positions: vec![Position { partition: 0, next: 7, last: Some(last) }],
    }
}

fn name(claim: &Claim) -> &'static str {
    match claim {
        Claim::New(..) => "new",
        Claim::InFlight(_) => "in flight",
        Claim::Known => "known",
        Claim::Conflict => "conflict",
    }
}

/// A file with three ids, and the bytes of it.
fn written() -> (tempfile::TempDir, PathBuf, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/er/event-ids");
    let dedupe = memory(HOUR_MS, 10);
    for id in 0..3 {
        dedupe.observe(key(id), print(1), NOW);
    }
    assert_eq!(write(&path, &header(&dedupe), &dedupe).unwrap(), 3);
    let bytes = std::fs::read(&path).unwrap();
    (folder, path, bytes)
}

/// What reading such bytes fails with; nothing may be remembered then.
fn failure(path: &Path, bytes: &[u8]) -> Option<String> {
    std::fs::write(path, bytes).unwrap();
    let dedupe = memory(HOUR_MS, 10);
    let read = Snapshot::open(path).and_then(|opened| opened.unwrap().load(&dedupe, NOW));
    let error = read.err()?;
    let claim = dedupe.claim(key(1), print(1), NOW);
    assert_eq!(name(&claim), "new", "after {error}");
    Some(error.to_string())
}

#[test]
fn what_was_written_is_known_after_it_was_read_and_bodies_are_still_told_apart() {
    let (_folder, path, _) = written();
    let snapshot = Snapshot::open(&path).unwrap().unwrap();
    assert_eq!(snapshot.ids(), 3);
    let dedupe = memory(HOUR_MS, 10);
    dedupe.observe(key(9), print(1), NOW);
    assert_eq!(snapshot.header, header(&dedupe));
    snapshot.load(&dedupe, NOW).unwrap();
    assert_eq!(name(&dedupe.claim(key(2), print(1), NOW)), "known");
    assert_eq!(name(&dedupe.claim(key(2), print(2), NOW)), "conflict");
    assert_eq!(name(&dedupe.claim(key(9), print(1), NOW)), "new", "only the file's are known");
}

#[test]
fn a_second_record_of_an_id_that_was_read_before_the_restart_is_counted() {
    let (_folder, path, _) = written();
    let metrics = Metrics::new().unwrap().dedupe;
    let dedupe = Dedupe::new(HOUR_MS, 10, metrics.clone());
    Snapshot::open(&path).unwrap().unwrap().load(&dedupe, NOW).unwrap();
    assert_eq!((metrics.ids.get(), metrics.raw_duplicates.get()), (3, 0));
    dedupe.observe(key(0), print(1), NOW);
    assert_eq!((metrics.ids.get(), metrics.raw_duplicates.get()), (3, 1));
}

#[test]
fn no_file_is_no_error_and_an_unreadable_one_is() {
    let folder = tempfile::tempdir().unwrap();
    assert!(Snapshot::open(&folder.path().join("none")).unwrap().is_none());
    let error = Snapshot::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains(&folder.path().display().to_string()), "{error}");
}

#[test]
fn a_damaged_file_is_refused_wherever_the_damage_is() {
    let (_folder, path, bytes) = written();
    assert_eq!(failure(&path, &bytes), None, "whole");
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        assert!(failure(&path, &damaged).is_some(), "a bit of byte {at}");
        assert!(failure(&path, &bytes[..at]).is_some(), "cut off after {at} bytes");
    }
    let longer = [bytes.as_slice(), &[0; ENTRY_BYTES]].concat();
    assert!(failure(&path, &longer).is_some(), "more than was written");
}

#[test]
fn another_format_and_another_version_are_named() {
    #[track_caller]
    fn check(change: impl Fn(&mut Vec<u8>), expect: &str) {
        let (_folder, path, mut bytes) = written();
        change(&mut bytes);
        let error = failure(&path, &bytes).unwrap();
        assert!(error.contains(expect), "`{error}` should contain `{expect}`");
    }
    check(|bytes| bytes[0] = b'x', "no snapshot");
    check(|bytes| bytes[11] = 2, "version 2; expected 1");
    check(|bytes| bytes[12] = 9, "header is too long");
    check(|bytes| bytes[16] = b'x', "header is not readable");
    check(Vec::clear, "ends too early");
}

#[test]
fn a_file_that_another_process_writes_is_left_to_it() {
    let (_folder, path, before) = written();
    let other = File::create(beside(&path, "new")).unwrap();
    other.lock().unwrap();
    let dedupe = memory(HOUR_MS, 10);
    let busy = write(&path, &header(&dedupe), &dedupe);
    assert!(matches!(busy, Err(SnapshotError::Busy { .. })), "{busy:?}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
    drop(other);
    assert_eq!(write(&path, &header(&dedupe), &dedupe).unwrap(), 0);
}

#[test]
fn what_is_left_of_a_crash_while_writing_is_no_hindrance() {
    let (_folder, path, whole) = written();
    std::fs::write(beside(&path, "new"), vec![7; 10_000]).unwrap();
    let dedupe = memory(HOUR_MS, 10);
    Snapshot::open(&path).unwrap().unwrap().load(&dedupe, NOW).unwrap();
    write(&path, &header(&dedupe), &dedupe).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), whole);
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let (folder, _, _) = written();
    let file = folder.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let dedupe = memory(HOUR_MS, 10);
    let error = write(&file.join("event-ids"), &header(&dedupe), &dedupe).unwrap_err();
    assert!(error.to_string().contains(&file.display().to_string()), "{error}");
}

#[test]
fn a_file_put_aside_leaves_its_place_free() {
    let (_folder, path, bytes) = written();
    let aside = set_aside(&path).unwrap();
    assert!(Snapshot::open(&path).unwrap().is_none());
    assert_eq!(std::fs::read(aside).unwrap(), bytes);
}

#[test]
fn buckets_of_another_length_are_read_and_nothing_is_forgotten_too_early() {
    let day = 24 * HOUR_MS;
    // Up to eleven days a bucket is a minute, in a window of thirty almost three.
    for (from, to) in [(7 * day, 30 * day), (30 * day, 7 * day)] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("event-ids");
        let old = memory(from, 1_000);
        for id in 0..100 {
            old.observe(key(id), print(1), NOW - i64::from(id) * HOUR_MS);
        }
        write(&path, &header(&old), &old).unwrap();
        let new = memory(to, 1_000);
        Snapshot::open(&path).unwrap().unwrap().load(&new, NOW).unwrap();
        for id in 0..100 {
            assert_eq!(name(&new.claim(key(id), print(1), NOW)), "known", "{id}");
            let end = NOW - i64::from(id) * HOUR_MS + to;
            let new = memory(to, 1_000);
            Snapshot::open(&path).unwrap().unwrap().load(&new, end).unwrap();
            assert_eq!(name(&new.claim(key(id), print(1), end)), "known", "{id} at its end");
        }
    }
}

#[test]
fn a_memory_with_less_room_keeps_the_newest_and_counts_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("event-ids");
    let old = memory(24 * HOUR_MS, 100);
    for id in 0..20 {
        old.observe(key(id), print(1), NOW + i64::from(id) * MINUTE_MS);
    }
    write(&path, &header(&old), &old).unwrap();
    let metrics = Metrics::new().unwrap().dedupe;
    let new = Dedupe::new(24 * HOUR_MS, 5, metrics.clone());
    Snapshot::open(&path).unwrap().unwrap().load(&new, NOW).unwrap();
    assert_eq!((metrics.ids.get(), metrics.evicted.get()), (5, 15));
    assert_eq!(name(&new.claim(key(19), print(1), NOW)), "known");
    assert_eq!(name(&new.claim(key(14), print(1), NOW)), "new");
    assert!(new.frame().evicted_to > NOW, "the next snapshot says so");
}

#[test]
fn a_forgotten_memory_knows_nothing_and_learns_again() {
    let dedupe = memory(HOUR_MS, 10);
    dedupe.observe(key(1), print(1), NOW);
    dedupe.forget(NOW);
    assert_eq!(name(&dedupe.claim(key(1), print(1), NOW)), "new");
    dedupe.observe(key(1), print(1), NOW);
    assert_eq!(name(&dedupe.claim(key(1), print(1), NOW)), "known");
}

#[test]
fn ids_take_24_bytes_in_the_file_and_27_in_memory() {
    // `cargo test --release -p ingress --lib -- --nocapture ids_take_24_bytes` for the times.
    let count: u32 = if cfg!(debug_assertions) { 200_000 } else { 10_000_000 };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("event-ids");
    let room = usize::try_from(count).unwrap();
    let old = memory(7 * 24 * HOUR_MS, room);
    for id in 0..count {
        old.observe(key(id), print(1), NOW + i64::from(id % 604_800) * 1_000);
    }
    let watch = Stopwatch::start();
    write(&path, &header(&old), &old).unwrap();
    let written = watch.elapsed();
    let new = memory(7 * 24 * HOUR_MS, room);
    let watch = Stopwatch::start();
    Snapshot::open(&path).unwrap().unwrap().load(&new, NOW).unwrap();
    let read = watch.elapsed();
    let file = usize::try_from(std::fs::metadata(&path).unwrap().len()).unwrap();
    let bytes = new.lock().bytes();
    println!(
        "{count} ids: written in {written:?}, read in {read:?}; {file} bytes in the file, {bytes} in memory"
    );
    assert!((room * 24..room * 24 + 1_000).contains(&file), "{file}");
    // The few free places that each of the tables keeps weigh more in small ones.
    let most = if cfg!(debug_assertions) { 30 } else { 28 };
    assert!((room * 24..room * most).contains(&bytes), "{bytes}");
    assert_eq!(name(&new.claim(key(count / 2), print(1), NOW)), "known");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_memory_read_back_answers_as_the_one_that_was_written(
        events in prop::collection::vec((0_u32..400, 0_u8..3, 0_i64..30 * HOUR_MS), 0..400),
        ahead in 0_i64..20 * HOUR_MS,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("event-ids");
        let (window, start) = (7 * HOUR_MS, NOW);
        let old = memory(window, 10_000);
        let mut latest = start;
        for (id, body, at) in events {
            // Those that are acknowledged and not read yet are in it, too.
            match (body, old.claim(key(id), print(body), start + at)) {
                (2, Claim::New(ticket, _)) => ticket.accepted(),
                _ => old.observe(key(id), print(body), start + at),
            }
            latest = latest.max(start + at);
        }
        write(&path, &header(&old), &old).unwrap();
        let new = memory(window, 10_000);
        let now = latest + ahead;
        Snapshot::open(&path).unwrap().unwrap().load(&new, now).unwrap();
        for (id, body) in (0_u32..400).flat_map(|id| (0_u8..3).map(move |body| (id, body))) {
            let claim = |dedupe: &Arc<Dedupe>| name(&dedupe.claim(key(id), print(body), now));
            prop_assert_eq!(claim(&old), claim(&new), "{} {}", id, body);
        }
    }
}
