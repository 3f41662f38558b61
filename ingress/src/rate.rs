//! How often something may happen: buckets of tokens, one number each.
//!
//! A bucket is the time at which it will be full again. Taking a token moves that time one interval
//! on; a bucket is empty when it lies further ahead than a burst takes.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Seconds' worth of tokens that a bucket holds.
const BURST_S: u64 = 2;

const MICROS: u64 = 1_000_000;

/// Addresses whose buckets are not full, remembered at most. Each is full again within seconds, so
/// that only a flood from more networks than this leaves some of them unlimited; about 3 MB.
const ADDRESSES_MAX: usize = 65_536;

/// Tokens a second; microseconds are the unit of every time here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    interval: u64,
}

/// A bucket is empty; it has a token again after this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Empty(pub Duration);

impl Rate {
    /// So many a second, at most a million; `None` for 0, which means without limit.
    pub fn per_second(tokens: u32) -> Option<Self> {
        let interval = MICROS.checked_div(u64::from(tokens))?;
        Some(Self { interval: interval.max(1) })
    }

    fn check(self, full_at: u64, now: u64) -> Result<(), Empty> {
        // A bucket holds its burst: the last token leaves it full in just less than that.
        let limit = BURST_S.saturating_mul(MICROS).saturating_sub(self.interval);
        match full_at.saturating_sub(now).checked_sub(limit) {
            None | Some(0) => Ok(()),
            Some(over) => Err(Empty(Duration::from_micros(over))),
        }
    }

    fn take(self, full_at: u64, now: u64) -> u64 {
        full_at.max(now).saturating_add(self.interval)
    }
}

/// One bucket, for everybody.
#[derive(Debug)]
pub struct Pace {
    rate: Option<Rate>,
    full_at: AtomicU64,
}

impl Pace {
    /// A full bucket; without a rate it never empties.
    pub fn new(rate: Option<Rate>) -> Self {
        Self { rate, full_at: AtomicU64::new(0) }
    }

    /// Takes a token at the time `now`.
    pub fn take(&self, now: u64) -> Result<(), Empty> {
        let Some(rate) = self.rate else { return Ok(()) };
        let mut full_at = self.full_at.load(Relaxed);
        loop {
            rate.check(full_at, now)?;
            let next = rate.take(full_at, now);
            match self.full_at.compare_exchange_weak(full_at, next, Relaxed, Relaxed) {
                Ok(_) => return Ok(()),
                Err(current) => full_at = current,
            }
        }
    }
}

/// A bucket for each address.
#[derive(Debug)]
pub struct Paces {
    rate: Option<Rate>,
    full_at: Mutex<HashMap<IpAddr, u64>>,
}

impl Paces {
    /// Full buckets for all.
    pub fn new(rate: Option<Rate>) -> Self {
        Self { rate, full_at: Mutex::default() }
    }

    /// Whether `address` has a token at the time `now`.
    pub fn check(&self, address: IpAddr, now: u64) -> Result<(), Empty> {
        let Some(rate) = self.rate else { return Ok(()) };
        let buckets = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.get(&address).map_or(Ok(()), |full_at| rate.check(*full_at, now))
    }

    /// Takes a token of `address`, whether it has one or not.
    pub fn charge(&self, address: IpAddr, now: u64) {
        let Some(rate) = self.rate else { return };
        let mut buckets = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(full_at) = buckets.get_mut(&address) {
            *full_at = rate.take(*full_at, now);
            return;
        }
        if buckets.len() >= ADDRESSES_MAX {
            buckets.retain(|_, full_at| *full_at > now);
        }
        if buckets.len() < ADDRESSES_MAX {
            buckets.insert(address, rate.take(0, now));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_bucket_gives_its_burst_and_then_its_rate_whatever_the_times(
            rate in 1_u32..2_000,
            gaps in prop::collection::vec(0_u64..20_000, 1..2_000),
        ) {
            let pace = Pace::new(Rate::per_second(rate));
            let mut now = 5 * MICROS;
            let (start, mut given) = (now, 0_u64);
            for gap in gaps {
                now += gap;
                let taken = pace.take(now);
                if taken.is_ok() {
                    given += 1;
                }
                let interval = MICROS / u64::from(rate);
                let most = (BURST_S * MICROS + now - start) / interval;
                prop_assert!(given <= most, "{given} of {most}");
                if let Err(Empty(wait)) = taken {
                    let later = now + u64::try_from(wait.as_micros()).unwrap();
                    prop_assert_eq!(pace.rate.unwrap().check(pace.full_at.load(Relaxed), later), Ok(()));
                }
            }
        }
    }

    #[test]
    fn a_bucket_that_was_left_alone_gives_exactly_its_burst() {
        for rate in [1, 2, 50, 1000] {
            let pace = Pace::new(Rate::per_second(rate));
            for start in [0, 9 * MICROS] {
                let given = (0..5000).filter(|_| pace.take(start).is_ok()).count();
                assert_eq!(u64::try_from(given).unwrap(), BURST_S * u64::from(rate));
            }
        }
    }

    #[test]
    fn without_a_rate_there_is_no_limit() {
        let (pace, paces) = (Pace::new(Rate::per_second(0)), Paces::new(None));
        let address = IpAddr::from([192, 0, 2, 1]);
        for _ in 0..100_000 {
            paces.charge(address, 1);
            assert_eq!((pace.take(1), paces.check(address, 1)), (Ok(()), Ok(())));
        }
    }

    #[test]
    fn addresses_have_buckets_of_their_own() {
        let paces = Paces::new(Rate::per_second(5));
        let [one, two] = [1, 2].map(|last| IpAddr::from([192, 0, 2, last]));
        for _ in 0..10 {
            assert_eq!(paces.check(one, 0), Ok(()));
            paces.charge(one, 0);
        }
        assert_eq!(paces.check(one, 0), Err(Empty(Duration::from_millis(200))));
        assert_eq!(paces.check(two, 0), Ok(()));
        assert_eq!(paces.check(one, 200_000), Ok(()));
    }

    #[test]
    fn the_memory_of_addresses_is_bounded_and_forgets_full_buckets_first() {
        let paces = Paces::new(Rate::per_second(1));
        let address = |number: usize| IpAddr::from(u32::try_from(number).unwrap().to_be_bytes());
        for number in 0..ADDRESSES_MAX + 10 {
            paces.charge(address(number), 0);
        }
        assert_eq!(paces.full_at.lock().unwrap().len(), ADDRESSES_MAX);
        paces.charge(address(ADDRESSES_MAX + 10), 2 * MICROS);
        assert_eq!(paces.full_at.lock().unwrap().len(), 1);
    }
}
