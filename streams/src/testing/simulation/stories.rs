//! Many stories, and mistakes that they have to find.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{Fault, Guarantee, Planted, Size, Story};

/// Stories of every run, half of them under each guarantee.
const SEEDS: u64 = 10_000;

/// Of a story in every run, and of one that looks for a planted mistake.
const SIZE: Size = Size { inputs: 12, crashes: 3 };
const LARGE: Size = Size { inputs: 40, crashes: 4 };

fn guarantee(seed: u64) -> Guarantee {
    if seed.is_multiple_of(2) { Guarantee::ExactlyOnce } else { Guarantee::AtLeastOnce }
}

fn story(seed: u64, planted: Planted, guarantee: Guarantee, size: Size) -> Result<(), String> {
    let mut story = Story::new(seed, planted, guarantee, size);
    if planted == Planted::AcknowledgeEarly {
        story.broker.fault = Fault::LosesEverything;
    }
    let ended = match planted {
        Planted::Nothing => story.run(),
        // a mistake may be noticed on the way
        _ => catch_unwind(AssertUnwindSafe(|| story.run())).unwrap_or_else(|panic| {
            let literal = panic.downcast_ref::<&str>().map(|said| (*said).to_owned());
            let said = literal.or_else(|| panic.downcast_ref::<String>().cloned());
            Err(said.unwrap_or_else(|| "it panicked".to_owned()))
        }),
    };
    ended.map_err(|wrong| {
        format!("seed {seed}, {guarantee:?}, {size:?}: {wrong}\n{}", story.trace.join("\n"))
    })
}

/// The smallest story of a failing seed, or of the seeds near it, that fails too.
fn shortest(seed: u64, planted: Planted, guarantee: Guarantee, size: Size) -> String {
    for inputs in 1..=size.inputs {
        for crashes in 0..=size.crashes {
            for near in seed..seed + 20 {
                let size = Size { inputs, crashes };
                if let Err(wrong) = story(near, planted, guarantee, size) {
                    return wrong;
                }
            }
        }
    }
    story(seed, planted, guarantee, size).err().unwrap_or_default()
}

fn run(seeds: impl Iterator<Item = u64>, size: Size) {
    for seed in seeds {
        let ended = story(seed, Planted::Nothing, guarantee(seed), size);
        assert!(ended.is_ok(), "{}", shortest(seed, Planted::Nothing, guarantee(seed), size));
    }
}

#[test]
fn no_story_loses_an_output_or_counts_an_input_twice() {
    // Two threads, the same stories in every run.
    let other = std::thread::spawn(|| run((SEEDS / 2)..SEEDS, SIZE));
    run(0..SEEDS / 2, SIZE);
    other.join().unwrap();
}

#[test]
fn no_long_story_does_either() {
    run(0..200, LARGE);
}

fn find(planted: Planted, guarantee: Guarantee) -> String {
    let found = (0..400).find(|seed| story(*seed, planted, guarantee, LARGE).is_err());
    let seed = found.unwrap_or_else(|| panic!("{planted:?} is not found"));
    shortest(seed, planted, guarantee, LARGE)
}

#[test]
fn planted_mistakes_are_found_and_shown_by_a_short_story() {
    for (planted, guarantee) in [
        (Planted::RestoreEverything, Guarantee::AtLeastOnce),
        (Planted::AcknowledgeEarly, Guarantee::AtLeastOnce),
        (Planted::StoreAheadOfTransaction, Guarantee::ExactlyOnce),
        (Planted::OffsetMapOffByOne, Guarantee::ExactlyOnce),
        (Planted::DroppedDrain, Guarantee::ExactlyOnce),
        (Planted::StaleEnd, Guarantee::ExactlyOnce),
        (Planted::BeginsInsideCommit, Guarantee::ExactlyOnce),
        (Planted::PunctuatesUnasked, Guarantee::ExactlyOnce),
    ] {
        let shown = find(planted, guarantee);
        assert!(
            ["expected", "came to rest", "sent inside of a commit"]
                .iter()
                .any(|words| shown.contains(words)),
            "{planted:?}: {shown}"
        );
    }
}

/// A record finished by an earlier life moves the watermark; an abort forgot that, and the offset
/// stayed behind until the next record.
#[test]
fn finished_record_of_an_earlier_life_is_committed_after_an_abort() {
    for seed in [2_882, 5_340, 6_874] {
        story(seed, Planted::Nothing, guarantee(seed), SIZE).unwrap();
    }
}
