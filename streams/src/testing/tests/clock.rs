//! A clock that steps back, as when a machine's time is put right: what is due moves with it.

use std::time::Duration;

use super::{Sync, asynchronous, pipe, synchronous, texts};

const BACK: Duration = Duration::from_hours(1);

#[test]
fn punctuation_comes_after_its_interval_when_the_clock_steps_back() {
    let Sync { mut driver, .. } = synchronous(0, Some(Duration::from_secs(10)));
    pipe(&mut driver, "a", "x");
    driver.advance(Duration::from_secs(9));
    driver.step_back(BACK);
    assert_eq!(texts(&mut driver, "out"), ["x"]);
    driver.advance(Duration::from_secs(2));
    assert_eq!(texts(&mut driver, "out"), ["1"], "one second was left, not an hour");
    driver.advance(Duration::from_secs(20));
    assert_eq!(texts(&mut driver, "out"), ["1", "1"], "and none is made up for");
}

#[test]
fn resting_record_is_tried_again_after_its_rest_when_the_clock_steps_back() {
    let Sync { mut driver, .. } = synchronous(1, None);
    pipe(&mut driver, "a", "not-for-a-minute");
    driver.advance(Duration::from_secs(50));
    driver.step_back(BACK);
    driver.advance(Duration::from_secs(5));
    assert_eq!(texts(&mut driver, "out"), [""; 0], "five seconds too early");
    driver.advance(Duration::from_secs(10));
    assert_eq!(texts(&mut driver, "out"), ["not-for-a-minute"]);

    let (mut driver, asked) = asynchronous(1);
    pipe(&mut driver, "a", "not-for-a-minute");
    driver.advance(Duration::from_secs(50));
    driver.step_back(BACK);
    driver.advance(Duration::from_secs(5));
    assert_eq!(asked.lock().unwrap().len(), 1, "five seconds too early");
    driver.advance(Duration::from_secs(10));
    assert_eq!(texts(&mut driver, "out"), ["not-for-a-minute"]);
    assert_eq!(driver.committed("in"), Some(1));
}

#[test]
fn records_are_handled_and_committed_after_the_clock_stepped_back() {
    let Sync { mut driver, seen } = synchronous(0, None);
    pipe(&mut driver, "a", "before");
    driver.step_back(BACK);
    pipe(&mut driver, "a", "after");
    assert_eq!(texts(&mut driver, "out"), ["before", "after"]);
    assert_eq!(driver.committed("in"), Some(2));
    driver.restart().unwrap();
    assert_eq!(driver.store(&seen).get(&"a".to_owned()), Some(2));
}
