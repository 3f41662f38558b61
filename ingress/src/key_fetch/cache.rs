//! When to fetch keys, and what of them is kept: decided by what happens and when, without I/O.

use std::collections::{BTreeMap, VecDeque};

use signatures::KeySet;

const SECOND_MS: i64 = 1_000;
const MINUTE_MS: i64 = 60 * SECOND_MS;

/// Between two fetches for the sake of a key that nobody knows: what `MoneyKit` asks of receivers, and
/// few enough that a flood of forged names is no flood at the provider.
pub(super) const PERIOD_MS: i64 = 5 * MINUTE_MS;

/// Fetches in that time where each key is asked for by its name: a forged name would otherwise keep
/// out the genuine one behind it.
const NAMED_PER_PERIOD: usize = 4;

/// Age at which keys are fetched anew: half of the day that a provider may count on, so that one
/// which it withdraws is gone in time although the first tries fail.
pub(super) const RENEW_MS: i64 = 12 * 60 * MINUTE_MS;

/// First pause after a fetch that failed while there are no keys at all; it doubles up to
/// [`PERIOD_MS`].
const FIRST_RETRY_MS: i64 = 5 * SECOND_MS;

/// How long a name that the provider did not know is not asked for again: longer than the period,
/// short enough for a provider whose own caches lag behind.
const UNKNOWN_MS: i64 = 15 * MINUTE_MS;

/// Unknown names remembered; the one that ends first goes.
const UNKNOWN_MAX: usize = 1024;

/// Keys kept by name; providers have a handful in use. The oldest goes.
const NAMED_MAX: usize = 32;

/// Bytes of a name. Plaid's are UUIDs, certificates' addresses have some hundred.
const NAME_BYTES_MAX: usize = 256;

/// What to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// The whole set.
    Set,
    /// The key of this name.
    Named(String),
}

/// What to do about a question.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The key is there.
    Known,
    /// Fetch this, then answer.
    Fetch(Plan),
    /// There is no such key.
    Unknown,
    /// Whether there is may be found out in so many milliseconds.
    Held(i64),
}

/// What came of a fetch.
#[derive(Debug)]
pub(super) enum Answer {
    /// Keys; none at all where the provider has none of that name.
    Keys(KeySet),
    /// There is no key of that name.
    Missing,
    /// Nothing, or nothing that can be used.
    Failed,
}

#[derive(Debug)]
struct Entry {
    keys: KeySet,
    fetched_at: i64,
    tried_at: i64,
}

/// What one source knows of its keys.
#[derive(Debug)]
pub(super) struct KeyCache {
    is_named: bool,
    /// By name; a set has the one empty name.
    entries: BTreeMap<String, Entry>,
    /// When names that are not known may be asked for again.
    unknown: BTreeMap<String, i64>,
    /// The last fetches for unknown keys, where they go by name.
    recent: VecDeque<i64>,
    tried_at: Option<i64>,
    failures: u32,
}

impl KeyCache {
    /// One without keys; `is_named` where each is fetched by its name.
    pub(super) fn new(is_named: bool) -> Self {
        Self {
            is_named,
            entries: BTreeMap::new(),
            unknown: BTreeMap::new(),
            recent: VecDeque::new(),
            tried_at: None,
            failures: 0,
        }
    }

    /// All keys.
    pub(super) fn keys(&self) -> KeySet {
        self.entries.values().fold(KeySet::default(), |all, entry| all.with(&entry.keys))
    }

    /// Milliseconds since the oldest of the keys were fetched; `None` without any.
    pub(super) fn age(&self, now: i64) -> Option<i64> {
        let oldest = self.entries.values().map(|entry| entry.fetched_at).min()?;
        Some(now.saturating_sub(oldest).max(0))
    }

    /// A request asks for `key`, or for any new ones where its scheme has no names.
    pub(super) fn ask(&mut self, now: i64, key: Option<&str>) -> Verdict {
        self.unknown.retain(|_, until| *until > now);
        if let Some(key) = key {
            if self.entries.values().any(|entry| entry.keys.has(key)) {
                return Verdict::Known;
            }
            if self.unknown.contains_key(key) || !is_name(key) {
                return Verdict::Unknown;
            }
        }
        let plan = match (self.is_named, key) {
            (false, _) => Plan::Set,
            (true, Some(key)) => Plan::Named(key.to_owned()),
            (true, None) => return Verdict::Unknown,
        };
        if let Some(wait) = self.held_for(now) {
            return Verdict::Held(wait);
        }
        if self.is_named {
            self.recent.push_back(now);
        }
        Verdict::Fetch(plan)
    }

    /// For how long nothing may be fetched for a key that nobody knows; `None` when something may.
    pub(super) fn held_for(&mut self, now: i64) -> Option<i64> {
        while self.recent.front().is_some_and(|at| at.saturating_add(PERIOD_MS) <= now) {
            self.recent.pop_front();
        }
        let first = if self.is_named {
            self.recent.front().filter(|_| self.recent.len() >= NAMED_PER_PERIOD).copied()
        } else {
            self.tried_at
        };
        let wait = first?.saturating_add(PERIOD_MS).saturating_sub(now);
        (wait > 0).then_some(wait)
    }

    /// What is to be fetched without being asked for.
    pub(super) fn due(&self, now: i64) -> Option<Plan> {
        let since = |at: i64| now.saturating_sub(at);
        if !self.is_named && self.entries.is_empty() {
            let is_due = self.tried_at.is_none_or(|at| since(at) >= self.pause());
            return is_due.then_some(Plan::Set);
        }
        let is_due = |entry: &Entry| {
            since(entry.fetched_at) >= RENEW_MS && since(entry.tried_at) >= PERIOD_MS
        };
        let (name, _) = self.entries.iter().find(|(_, entry)| is_due(entry))?;
        Some(if self.is_named { Plan::Named(name.clone()) } else { Plan::Set })
    }

    /// The pause before another try while there are no keys.
    fn pause(&self) -> i64 {
        FIRST_RETRY_MS.saturating_mul(1_i64 << self.failures.min(10)).min(PERIOD_MS)
    }

    /// Takes what came of a fetch at the time `now`; `asked` is the key it was for. Gives whether the
    /// keys are others now.
    pub(super) fn fetched(
        &mut self,
        now: i64,
        plan: &Plan,
        asked: Option<&str>,
        answer: Answer,
    ) -> bool {
        self.tried_at = Some(now);
        let name = match plan {
            Plan::Set => String::new(),
            Plan::Named(name) => name.clone(),
        };
        if let Some(entry) = self.entries.get_mut(&name) {
            entry.tried_at = now;
        }
        let keys = match answer {
            Answer::Keys(keys) if self.is_named || !keys.is_empty() => keys,
            // whatever was good before is good still
            Answer::Keys(_) | Answer::Failed => {
                self.failures = self.failures.saturating_add(1);
                return false;
            }
            Answer::Missing => {
                self.remember_unknown(asked, now);
                return false;
            }
        };
        self.failures = 0;
        self.remember_unknown(asked.filter(|asked| !keys.has(asked)), now);
        if keys.is_empty() {
            return self.entries.remove(&name).is_some();
        }
        self.entries.insert(name, Entry { keys, fetched_at: now, tried_at: now });
        self.forget_oldest();
        true
    }

    fn forget_oldest(&mut self) {
        if self.entries.len() <= NAMED_MAX {
            return;
        }
        let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.fetched_at);
        if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
            self.entries.remove(&oldest);
        }
    }

    fn remember_unknown(&mut self, key: Option<&str>, now: i64) {
        let Some(key) = key else { return };
        if self.unknown.len() >= UNKNOWN_MAX {
            let first = self.unknown.iter().min_by_key(|(_, until)| **until);
            if let Some(first) = first.map(|(key, _)| key.clone()) {
                self.unknown.remove(&first);
            }
        }
        self.unknown.insert(key.to_owned(), now.saturating_add(UNKNOWN_MS));
    }
}

fn is_name(key: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests;
