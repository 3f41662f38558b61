use std::{
    collections::{BTreeSet, HashMap, HashSet},
    time::Duration,
};

use proptest::{collection::vec, prelude::*};

use super::{batch::BatchError, ids::Ids, *};

/// A wall clock that believes everything.
const LATE: i64 = i64::MAX;

/// A window of 80, buckets of 10.
fn seen() -> Seen {
    Seen::new(Duration::from_millis(80))
}

/// What a task does with an id; true at its first sight.
fn insert(seen: &mut Seen, id: u128, timestamp: i64) -> bool {
    !seen.contains(id) && seen.restore(seen.bucket_of(timestamp, LATE), id)
}

fn all(seen: &Seen) -> BTreeSet<(i64, u128)> {
    let slices = std::iter::successors(seen.next_slice(None), |last| seen.next_slice(Some(*last)));
    slices.flat_map(|slice| seen.slice(slice).map(move |id| (slice.bucket(), id))).collect()
}

#[test]
fn id_is_the_beginning_of_its_sha_256() {
    assert_eq!(id_of(b""), 0xe3b0_c442_98fc_1c14_9afb_f4c8_996f_b924);
    assert_eq!(id_of(b"abc"), 0xba78_16bf_8f01_cfea_4141_40de_5dae_2223);
}

#[test]
fn id_is_new_once_whatever_its_timestamp() {
    let mut seen = seen();
    assert!(insert(&mut seen, 1, 45));
    assert!(!insert(&mut seen, 1, 45));
    assert!(!insert(&mut seen, 1, 99));
    assert!(!insert(&mut seen, 1, -10_000));
    assert!(insert(&mut seen, 2, 45));
    assert_eq!(
        (seen.len(), seen.bucket_after(None), seen.bucket_after(Some(4))),
        (2, Some(4), None)
    );
}

#[test]
fn id_is_known_for_the_window_and_forgotten_an_eighth_later() {
    for timestamp in [40, 45, 49] {
        let mut seen = seen();
        assert!(insert(&mut seen, 7, timestamp));
        assert_eq!(seen.expire(timestamp + 80, LATE), 0);
        assert!(seen.contains(7), "after the window");
        assert_eq!(seen.expire(50 + 79, LATE), 0);
        assert_eq!(seen.expire(50 + 80, LATE), 1);
        assert!(!seen.contains(7), "when the last moment of its bucket is out of the window");
        assert!(50 + 80 <= timestamp + 80 + 80 / 8);
    }
}

#[test]
fn late_id_is_remembered_with_the_oldest() {
    let mut seen = seen();
    seen.expire(1_000, LATE);
    let oldest = seen.bucket_of(1_000 - 80, LATE);
    assert_eq!(seen.bucket_of(3, LATE), oldest);
    assert!(insert(&mut seen, 9, 3));
    assert!(!insert(&mut seen, 9, 3));
    assert_eq!(all(&seen), [(oldest, 9)].into());
    assert_eq!(seen.expire(1_010, LATE), 1);
    assert!(!seen.restore(oldest, 9), "a bucket that was forgotten stays so");
}

#[test]
fn time_that_goes_back_brings_nothing_back() {
    let mut seen = seen();
    insert(&mut seen, 1, 500);
    assert_eq!(seen.expire(1_000, LATE), 1);
    seen.expire(400, LATE);
    assert_eq!(seen.bucket_of(400, LATE), seen.bucket_of(920, LATE));
}

#[test]
fn time_of_the_far_future_forgets_nothing_and_is_forgotten_in_its_turn() {
    let mut seen = seen();
    let (now, year) = (1_000, 1_000_000);
    for id in 0..8 {
        assert!(
            seen.restore(seen.bucket_of(now - 70 + 10 * id, now), u128::from(id.cast_unsigned()))
        );
    }
    // At most the oldest eighth is forgotten earlier than it would have been.
    assert_eq!(seen.expire(now + year, now), 0);
    assert!((0..8).all(|id| seen.contains(id)));
    let bucket = seen.bucket_of(now + year, now);
    assert_eq!(bucket, seen.bucket_of(now + 10, now), "the newest that the clock allows");
    assert!(seen.restore(bucket, 99));
    assert_eq!(seen.expire(now + year, now + 79), 7);
    assert!(seen.contains(99) && seen.contains(7));
    assert_eq!(seen.expire(now + year, now + 80), 1, "what came with the right time");
    assert_eq!(seen.expire(now + year, now + 89), 0);
    assert_eq!(seen.expire(now + year, now + 90), 1, "what came from the future");
    assert_eq!(seen.len(), 0);
}

#[test]
fn time_an_hour_ahead_is_believed_and_no_more_where_the_window_is_long() {
    let (day, hour) = (24 * 60 * 60 * 1_000, 60 * 60 * 1_000);
    let mut seen = Seen::new(Duration::from_hours(24));
    let bucket = seen.bucket_of(0, 0);
    assert!(seen.restore(bucket, 1));
    assert_eq!(seen.expire(i64::MAX, day + 2 * hour - 1), 0, "its bucket spans three hours");
    assert_eq!(seen.expire(i64::MAX, day + 2 * hour), 1);
}

#[test]
fn smallest_and_largest_windows_and_times_hold() {
    for window in [Duration::ZERO, Duration::from_millis(3), Duration::MAX] {
        let mut seen = Seen::new(window);
        for time in [i64::MIN, -1, 0, i64::MAX] {
            assert!(insert(&mut seen, u128::from(time.cast_unsigned()), time));
            seen.expire(time, LATE);
        }
        assert!(!insert(&mut seen, u128::from(i64::MAX.cast_unsigned()), 0));
    }
}

#[test]
fn insertion_that_is_taken_back_never_was() {
    let mut seen = seen();
    insert(&mut seen, 1, 5);
    insert(&mut seen, 2, 5);
    seen.remove(0, 2);
    seen.remove(0, 3);
    seen.remove(77, 1);
    assert_eq!(all(&seen), [(0, 1)].into());
    seen.remove(0, 1);
    assert_eq!((seen.len(), seen.bucket_after(None)), (0, None));
    assert!(insert(&mut seen, 1, 5));
}

#[test]
fn slices_visit_every_id_that_is_there_all_the_while() {
    let mut seen = Seen::new(Duration::from_secs(80));
    let id = |n: u32| id_of(&n.to_le_bytes());
    for n in 0..20_000 {
        insert(&mut seen, id(n), i64::from(n * 4));
    }
    let (mut visited, mut slice, mut next) = (HashSet::new(), seen.next_slice(None), 20_000);
    while let Some(this) = slice {
        visited.extend(seen.slice(this).map(|id| (this.bucket(), id)));
        // Meanwhile the sets grow, and some ids go.
        for n in next..next + 20 {
            insert(&mut seen, id(n), i64::from(n) * 7 % 80_000);
        }
        seen.remove(seen.bucket_of(i64::from(next - 20_000) * 4, LATE), id(next - 20_000));
        next += 20;
        slice = seen.next_slice(slice);
    }
    assert!(next > 60_000);
    let missed = (0..20_000_u32).filter(|n| n % 20 != 0);
    let missed = missed.filter(|n| !visited.contains(&(i64::from(n * 4) / 10_000, id(*n)))).count();
    assert_eq!(missed, 0);
}

#[test]
fn ids_take_less_than_25_bytes_each_also_while_they_grow() {
    let mut ids = Ids::new();
    let (mut before, mut rows) = (0, 0);
    for n in 1..=300_000_usize {
        assert!(ids.insert(id_of(&n.to_le_bytes())));
        if n < 50_000 || n % 64 != 0 {
            continue;
        }
        let bytes = ids.bytes();
        // What grows is there twice for a moment; never more than a 64th of all.
        let peak = bytes.max(before) + bytes / 64;
        assert!(peak < n * 25 && bytes > n * 17, "{n} ids: {bytes} bytes, {peak} at the peak");
        (before, rows) = (bytes, rows + 1);
    }
    assert!(rows > 3_000);
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u8, i64),
    Remove(u8),
    Expire(i64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (any::<u8>(), -200..400_i64).prop_map(|(id, at)| Step::Insert(id, at)),
        2 => any::<u8>().prop_map(Step::Remove),
        1 => (-200..400_i64).prop_map(Step::Expire),
    ]
}

/// Ids that all want the same few slots of one shard.
fn crowded(id: u8) -> u128 {
    u128::from(id) << 100 | u128::from(id % 3) << 8
}

fn play(steps: Vec<Step>, id_of: fn(u8) -> u128) {
    let (mut seen, mut model, mut oldest) = (seen(), HashMap::new(), i64::MIN);
    for step in steps {
        match step {
            Step::Insert(id, at) => {
                assert_eq!(insert(&mut seen, id_of(id), at), !model.contains_key(&id));
                model.entry(id).or_insert(at.div_euclid(10).max(oldest));
            }
            Step::Remove(id) => {
                if let Some(bucket) = model.remove(&id) {
                    seen.remove(bucket, id_of(id));
                }
            }
            Step::Expire(at) => {
                oldest = oldest.max((at - 80).div_euclid(10));
                let before = model.len();
                model.retain(|_, bucket| *bucket >= oldest);
                assert_eq!(seen.expire(at, LATE), before - model.len());
            }
        }
        assert_eq!(seen.len(), model.len());
    }
    assert_eq!(all(&seen), model.into_iter().map(|(id, bucket)| (bucket, id_of(id))).collect());
}

proptest! {
    #[test]
    fn seen_is_a_map_from_ids_to_buckets(steps in vec(step(), 0..600)) {
        play(steps.clone(), |id| id_of(&[id]));
        play(steps, crowded);
    }

    #[test]
    fn batch_comes_back_as_it_was(
        bucket in any::<i64>(),
        ids in vec((any::<u128>(), any::<i64>()), 0..200),
    ) {
        let (key, value) = encode_batch(bucket, &ids);
        prop_assert_eq!(decode_batch(&key, &value), Ok((bucket, ids)));
    }

    #[test]
    fn batch_with_a_changed_byte_is_refused(
        ids in vec((any::<u128>(), 0..1_000_000_i64), 1..20),
        at in any::<prop::sample::Index>(),
        flip in 1..=u8::MAX,
    ) {
        let (key, mut value) = encode_batch(5, &ids);
        value[at.index(ids.len() * 16)] ^= flip;
        prop_assert!(decode_batch(&key, &value).is_err());
    }

    #[test]
    fn any_bytes_are_a_batch_or_an_error(key in vec(any::<u8>(), 0..40), value in vec(any::<u8>(), 0..80)) {
        if let Ok((bucket, ids)) = decode_batch(&key, &value) {
            prop_assert_eq!(encode_batch(bucket, &ids), (key, value));
        }
    }
}

#[test]
fn full_batch_stays_far_below_the_size_of_a_record() {
    let ids: Vec<_> = (0_i64..)
        .map(|n| (id_of(&n.to_le_bytes()), 1_000_000 + n * 3))
        .take(IDS_A_RECORD_MAX)
        .collect();
    let (key, value) = encode_batch(5, &ids);
    assert!(value.len() < 75_000, "{}", value.len());
    assert_eq!(decode_batch(&key, &value).unwrap().1.len(), IDS_A_RECORD_MAX);
}

#[test]
fn hostile_counts_of_a_batch_are_refused() {
    let check = |value: &[u8], error: BatchError| {
        let check = crc32fast::hash(value).to_be_bytes();
        let key = [&[0; 24][..], &check].concat();
        assert_eq!(decode_batch(&key, value), Err(error));
    };
    check(&[], BatchError::Damaged("a short value"));
    check(&[2, 0, 0, 0, 0], BatchError::Version(2));
    check(&[1, 255, 255, 255, 255], BatchError::Damaged("too few ids"));
    check(&[&[1, 0, 0, 0, 1][..], &[0; 16]].concat(), BatchError::Damaged("too few offsets"));
    check(
        &[&[1, 0, 0, 0, 1][..], &[0; 16], &[0xff; 10]].concat(),
        BatchError::Damaged("too few offsets"),
    );
    check(&[&[1, 0, 0, 0, 1][..], &[0; 18]].concat(), BatchError::Damaged("its key does not fit"));
    check(
        &[&[1, 0, 0, 0, 1][..], &[1; 16], &[0]].concat(),
        BatchError::Damaged("its key does not fit"),
    );
}

#[test]
fn batches_of_one_bucket_have_keys_of_their_own() {
    let keys: BTreeSet<_> = [
        encode_batch(5, &[(1, 10)]),
        encode_batch(6, &[(1, 10)]),
        encode_batch(5, &[(1, 11)]),
        encode_batch(5, &[(1, 10), (2, 11)]),
        encode_batch(5, &[(2, 10)]),
    ]
    .map(|(key, _)| key)
    .into();
    assert_eq!(keys.len(), 5);
}
