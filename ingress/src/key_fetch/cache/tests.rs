use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use signatures::Scheme;

use super::*;

const START: i64 = 1_772_501_000_000;

/// A set with keys of these names; which keys they are does not matter here.
fn keys(names: &[&str]) -> KeySet {
    // the generator of P-256, which is a point of it
    let number = |hex: &str| URL_SAFE_NO_PAD.encode(hex::decode(hex).unwrap());
    let x = number("6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296");
    let y = number("4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5");
    let jwk =
        |name: &&str| format!(r#"{{"kty":"EC","crv":"P-256","kid":"{name}","x":"{x}","y":"{y}"}}"#);
    let text = names.iter().map(jwk).collect::<Vec<_>>().join(",");
    let set = KeySet::from_json(&Scheme::moneykit(), format!(r#"{{"keys":[{text}]}}"#).as_bytes());
    set.unwrap()
}

fn set_of(names: &[&str], at: i64) -> KeyCache {
    let mut cache = KeyCache::new(false);
    assert_eq!(cache.due(at), Some(Plan::Set));
    assert!(cache.fetched(at, &Plan::Set, None, Answer::Keys(keys(names))));
    cache
}

fn names(cache: &KeyCache) -> Vec<String> {
    cache.keys().ids().map(str::to_owned).collect()
}

#[test]
fn a_set_is_fetched_at_once_then_before_a_day_has_passed() {
    let mut cache = set_of(&["a"], START);
    assert_eq!(cache.due(START + RENEW_MS - 1), None);
    let late = START + RENEW_MS;
    assert_eq!(cache.due(late), Some(Plan::Set));
    const { assert!(RENEW_MS < 24 * 60 * MINUTE_MS) };
    // a set without the key is the end of the key
    assert!(cache.fetched(late, &Plan::Set, None, Answer::Keys(keys(&["b"]))));
    assert_eq!((names(&cache), cache.age(late + 5)), (vec!["b".to_owned()], Some(5)));
}

#[test]
fn a_set_that_cannot_be_fetched_stays_and_is_tried_again_every_five_minutes() {
    let mut cache = set_of(&["a"], START);
    let mut now = START + RENEW_MS;
    for answer in [Answer::Failed, Answer::Keys(keys(&[])), Answer::Failed] {
        assert_eq!(cache.due(now), Some(Plan::Set));
        assert!(!cache.fetched(now, &Plan::Set, None, answer));
        assert_eq!(cache.due(now + PERIOD_MS - 1), None);
        now += PERIOD_MS;
    }
    // for days
    let later = now + 4 * RENEW_MS;
    assert_eq!((names(&cache), cache.age(later)), (vec!["a".to_owned()], Some(later - START)));
}

#[test]
fn without_any_keys_it_is_tried_more_and_more_rarely() {
    let mut cache = KeyCache::new(false);
    let (mut now, mut tries) = (START, Vec::new());
    while now < START + 60 * MINUTE_MS {
        if let Some(plan) = cache.due(now) {
            tries.push((now - START) / SECOND_MS);
            cache.fetched(now, &plan, None, Answer::Failed);
        }
        now += SECOND_MS;
    }
    assert_eq!(&tries[..8], [0, 10, 30, 70, 150, 310, 610, 910]);
    assert_eq!(tries.len(), 16);
}

#[test]
fn forged_names_cost_a_fetch_in_five_minutes_and_not_one_each() {
    let mut cache = set_of(&["a"], START);
    let mut fetches = Vec::new();
    for second in 1..=1_200_i64 {
        for forged in 0..10 {
            let (now, name) = (START + second * SECOND_MS, format!("forged-{second}-{forged}"));
            if let Verdict::Fetch(plan) = cache.ask(now, Some(&name)) {
                assert_eq!(plan, Plan::Set);
                fetches.push(second);
                assert!(cache.fetched(now, &plan, Some(&name), Answer::Keys(keys(&["a"]))));
                assert_eq!(cache.ask(now, Some(&name)), Verdict::Unknown);
            }
        }
    }
    assert_eq!(fetches, [300, 600, 900, 1_200]);
    assert!(cache.unknown.len() <= UNKNOWN_MAX);
    assert_eq!(cache.ask(START, Some("a")), Verdict::Known);
}

#[test]
fn a_name_that_the_provider_did_not_know_is_not_asked_for_again_for_a_while() {
    let mut cache = set_of(&["a"], START);
    let first = START + PERIOD_MS;
    assert_eq!(cache.ask(first, Some("b")), Verdict::Fetch(Plan::Set));
    cache.fetched(first, &Plan::Set, Some("b"), Answer::Keys(keys(&["a"])));
    assert_eq!(cache.ask(first + UNKNOWN_MS - 1, Some("b")), Verdict::Unknown);
    assert_eq!(cache.ask(first + UNKNOWN_MS, Some("b")), Verdict::Fetch(Plan::Set));
}

#[test]
fn a_failed_fetch_counts_and_says_nothing_about_the_name() {
    let mut cache = set_of(&["a"], START);
    let first = START + PERIOD_MS;
    assert_eq!(cache.ask(first, Some("b")), Verdict::Fetch(Plan::Set));
    cache.fetched(first, &Plan::Set, Some("b"), Answer::Failed);
    assert_eq!(cache.ask(first + PERIOD_MS - 1, Some("b")), Verdict::Held(1));
    assert_eq!(cache.ask(first + PERIOD_MS, Some("b")), Verdict::Fetch(Plan::Set));
}

#[test]
fn keys_by_name_are_fetched_one_by_one_and_renewed_one_by_one() {
    let mut cache = KeyCache::new(true);
    assert_eq!(cache.due(START), None);
    for name in ["a", "b"] {
        let plan = Plan::Named(name.to_owned());
        assert_eq!(cache.ask(START, Some(name)), Verdict::Fetch(plan.clone()));
        assert!(cache.fetched(START, &plan, Some(name), Answer::Keys(keys(&[name]))));
    }
    assert_eq!(names(&cache), ["a", "b"]);
    let late = START + RENEW_MS;
    let a = Plan::Named("a".to_owned());
    assert_eq!(cache.due(late), Some(a.clone()));
    // taken out of use
    assert!(cache.fetched(late, &a, None, Answer::Keys(keys(&[]))));
    let b = Plan::Named("b".to_owned());
    assert_eq!(cache.due(late), Some(b.clone()));
    for answer in [Answer::Failed, Answer::Missing] {
        assert!(!cache.fetched(late, &b, None, answer));
    }
    assert_eq!((names(&cache), cache.due(late + 1)), (vec!["b".to_owned()], None));
    assert_eq!(cache.due(late + PERIOD_MS), Some(b));
}

#[test]
fn forged_names_cannot_make_us_ask_for_each() {
    let mut cache = KeyCache::new(true);
    let mut fetches = 0;
    for forged in 0..10_000_i64 {
        let (now, name) = (START + forged * 60, format!("forged-{forged}"));
        if let Verdict::Fetch(plan) = cache.ask(now, Some(&name)) {
            cache.fetched(now, &plan, Some(&name), Answer::Missing);
            fetches += 1;
        }
    }
    // ten minutes
    assert_eq!(fetches, 2 * NAMED_PER_PERIOD);
    for name in ["", "a b", "a\n", "ä", &"a".repeat(NAME_BYTES_MAX + 1)] {
        let mut cache = KeyCache::new(true);
        assert_eq!(cache.ask(START, Some(name)), Verdict::Unknown, "{name:?}");
    }
    assert_eq!(KeyCache::new(true).ask(START, None), Verdict::Unknown);
}

#[test]
fn no_more_keys_are_kept_than_providers_have() {
    let mut cache = KeyCache::new(true);
    for index in 0..=NAMED_MAX {
        let name = format!("key-{index:02}");
        let now = START + i64::try_from(index).unwrap();
        cache.fetched(now, &Plan::Named(name.clone()), None, Answer::Keys(keys(&[&name])));
    }
    assert_eq!(names(&cache).len(), NAMED_MAX);
    assert!(!cache.keys().has("key-00") && cache.keys().has("key-01"));
}
