//! The pause after failed authentications, per source, per account, or per both (any hashable key).

use rustc_hash::FxBuildHasher;
use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// Settings of a [`BackOff`].
#[derive(Debug, Clone, Copy)]
pub struct BackOffConfig {
    /// Failures that cost nothing: a stale password in a phone or two
    pub free: u32,
    /// The first pause; it doubles with each failure
    pub first: Duration,
    /// The longest pause
    pub most: Duration,
    /// After this long without failure all is forgotten
    pub memory: Duration,
    /// Entries at a time
    pub entries: usize,
}

impl Default for BackOffConfig {
    fn default() -> Self {
        BackOffConfig {
            free: 5,
            first: Duration::from_secs(1),
            most: Duration::from_secs(60),
            memory: Duration::from_secs(900),
            entries: 65_536,
        }
    }
}

/// Whether an attempt may be judged now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// Go on
    Open,
    /// Too many failures: refuse without looking at the password, until then
    ClosedUntil(Instant),
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    failures: u32,
    last: Instant,
}

/// A bounded table of failures. So that an attacker cannot lock a real phone out, key it by (account, source) and, with
/// a larger `free`, by source; never by account alone.
#[derive(Debug)]
pub struct BackOff<K> {
    config: BackOffConfig,
    entries: HashMap<K, Entry, FxBuildHasher>,
    swept: Option<Instant>,
}

impl<K: Hash + Eq + Clone> BackOff<K> {
    /// An empty table.
    pub fn new(config: BackOffConfig) -> BackOff<K> {
        BackOff { config, entries: HashMap::default(), swept: None }
    }

    /// Whether an attempt may be judged.
    pub fn check(&self, now: Instant, key: &K) -> Gate {
        let Some(entry) = self.entries.get(key) else {
            return Gate::Open;
        };
        let until = entry.last + self.pause(entry.failures);
        if self.is_old(entry, now) || until <= now { Gate::Open } else { Gate::ClosedUntil(until) }
    }

    /// An attempt failed; gives the count, for the log.
    pub fn failed(&mut self, now: Instant, key: K) -> u32 {
        if !self.entries.contains_key(&key) && self.entries.len() >= self.config.entries {
            self.make_room(now);
        }
        let config = self.config;
        let entry = self.entries.entry(key).or_insert(Entry { failures: 0, last: now });
        if now.saturating_duration_since(entry.last) >= config.memory {
            entry.failures = 0;
        }
        entry.failures = entry.failures.saturating_add(1);
        entry.last = now;
        entry.failures
    }

    /// An attempt succeeded: its failures are forgotten.
    pub fn succeeded(&mut self, key: &K) {
        self.entries.remove(key);
    }

    /// Entries held.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn pause(&self, failures: u32) -> Duration {
        match failures.saturating_sub(self.config.free) {
            0 => Duration::ZERO,
            n => self.config.first.saturating_mul(1 << (n - 1).min(20)).min(self.config.most),
        }
    }

    fn is_old(&self, entry: &Entry, now: Instant) -> bool {
        now.saturating_duration_since(entry.last) >= self.config.memory
    }

    /// Drops what is old; if that is not enough, those with the fewest failures. At most one pass a second looks at all.
    fn make_room(&mut self, now: Instant) {
        if self.swept.is_none_or(|at| now.saturating_duration_since(at) >= Duration::from_secs(1)) {
            self.swept = Some(now);
            let memory = self.config.memory;
            self.entries.retain(|_, e| now.saturating_duration_since(e.last) < memory);
            if self.entries.len() * 8 > self.config.entries * 7 {
                self.entries.retain(|_, e| e.failures > 1);
            }
        }
        if self.entries.len() >= self.config.entries {
            // Any one of a handful: the weakest of the first eight.
            let weakest =
                self.entries.iter().take(8).min_by_key(|(_, e)| e.failures).map(|(k, _)| k.clone());
            if let Some(key) = weakest {
                self.entries.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_after_the_free_failures() {
        let mut b = BackOff::new(BackOffConfig::default());
        let now = Instant::now();
        for _ in 0..5 {
            assert_eq!(b.check(now, &"ada"), Gate::Open);
            b.failed(now, "ada");
        }
        assert_eq!(b.check(now, &"ada"), Gate::Open);
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            b.failed(now, "ada");
            assert_eq!(b.check(now, &"ada"), Gate::ClosedUntil(now + Duration::from_secs(seconds)));
        }
        assert_eq!(b.check(now, &"bob"), Gate::Open);
        assert_eq!(b.check(now + Duration::from_secs(61), &"ada"), Gate::Open);
        b.succeeded(&"ada");
        assert!(b.is_empty());
    }

    #[test]
    fn the_table_is_bounded_and_keeps_the_worst() {
        let mut b = BackOff::new(BackOffConfig { entries: 50, ..BackOffConfig::default() });
        let now = Instant::now();
        for _ in 0..20 {
            b.failed(now, u32::MAX);
        }
        for i in 0..5000 {
            b.failed(now + Duration::from_millis(i.into()), i);
            assert!(b.len() <= 50);
        }
        assert!(matches!(b.check(now + Duration::from_secs(5), &u32::MAX), Gate::ClosedUntil(_)));
    }
}
