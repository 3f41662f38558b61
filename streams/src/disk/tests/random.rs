//! Random commits, snapshots that are written meanwhile, crashes.

use std::ops::Bound;

use proptest::{collection::vec, prelude::*};

use super::{
    super::{Disk, Entry, Reflects, Snapshot},
    Change, State, append, apply, copy, fresh, load, loaded, place,
};

#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<Change>),
    BeginSnapshot,
    Push(usize),
    Finish,
    Abandon,
    Reopen,
    /// Look what a crash at this moment leaves.
    Crash,
}

fn change() -> impl Strategy<Value = Change> {
    let value = prop::option::weighted(0.7, vec(any::<u8>(), 0..40));
    (0..2_u32, vec(0..6_u8, 0..3), value)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => vec(change(), 0..6).prop_map(Step::Commit),
        2 => Just(Step::BeginSnapshot),
        3 => (1..6_usize).prop_map(Step::Push),
        1 => Just(Step::Finish),
        1 => Just(Step::Abandon),
        1 => Just(Step::Reopen),
        2 => Just(Step::Crash),
    ]
}

/// A snapshot, and the last key it was given.
type Running = (Snapshot, Option<(u32, Vec<u8>)>);

/// Gives the snapshot up to `count` further entries of the state as it is now.
fn push(running: &mut Running, state: &State, count: usize) {
    let (snapshot, after) = running;
    let from = after.clone().map_or(Bound::Unbounded, Bound::Excluded);
    for ((store, key), value) in state.range((from, Bound::Unbounded)).take(count) {
        snapshot.push(Entry { store: *store, key, value: Some(value) }).unwrap();
        *after = Some((*store, key.clone()));
    }
}

fn reflects(n: i64, offsets: &[Option<i64>]) -> Reflects {
    Reflects { sources: vec![Some(n)], positions: offsets.to_vec(), stream_time: -n, written_at: n }
}

/// What a crash leaves behind is the state as it is.
fn check_crash(dir: &std::path::Path, expected: Option<&Reflects>, state: &State) {
    let (_place, crashed) = place();
    copy(dir, &crashed);
    match load(&crashed) {
        (super::Opened::Loaded(_, found), found_state) => {
            assert_eq!((Some(&found), &found_state), (expected, state));
        }
        (super::Opened::Fresh(_), found_state) => {
            assert_eq!((expected, found_state), (None, State::new()));
        }
    }
}

fn play(steps: Vec<Step>) {
    let (_place, dir) = place();
    let mut disk: Disk = fresh(&dir);
    let (mut state, mut last) = (State::new(), None);
    let mut running: Option<Running> = None;
    for (n, step) in (1..).zip(steps) {
        match step {
            Step::Commit(changes) => {
                let reflected = reflects(n, &[None, Some(n * n)]);
                append(&mut disk, &reflected, &changes).unwrap();
                for change in changes {
                    apply(&mut state, change);
                }
                last = Some(reflected);
            }
            Step::BeginSnapshot if running.is_none() && last.is_some() => {
                running = Some((disk.begin_snapshot().unwrap(), None));
            }
            Step::Push(count) => {
                if let Some(running) = &mut running {
                    push(running, &state, count);
                }
            }
            Step::Finish => {
                if let Some(mut whole) = running.take() {
                    push(&mut whole, &state, usize::MAX);
                    whole.0.finish(&mut disk).unwrap();
                }
            }
            Step::Reopen if last.is_some() => {
                running = None;
                drop(disk);
                let (again, reflected, found) = loaded(&dir);
                assert_eq!((Some(&reflected), &found), (last.as_ref(), &state));
                disk = again;
            }
            Step::Crash => {
                disk.settle().unwrap();
                check_crash(&dir, last.as_ref(), &state);
            }
            Step::Abandon => running = None,
            Step::BeginSnapshot | Step::Reopen => {}
        }
    }
    disk.settle().unwrap();
    check_crash(&dir, last.as_ref(), &state);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn state_comes_back_whatever_was_going_on(steps in vec(step(), 1..60)) {
        play(steps);
    }
}
