//! Token buckets by key: so much at once, then so much again in time.

use rustc_hash::FxHashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// How fast something may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Units that can be saved up, and spent at once
    pub burst: u32,
    /// One unit flows back in this time
    pub every: Duration,
}

impl Pace {
    fn of(&self, units: u32) -> Duration {
        self.every.saturating_mul(units)
    }
}

/// A token bucket per key, each kept as the moment at which all it owes has flowed back. Who owes nothing is not
/// remembered.
#[derive(Debug)]
pub struct Buckets<K> {
    pace: Pace,
    most: usize,
    paid: FxHashMap<K, Instant>,
    swept: Option<Instant>,
    /// Who owes nothing any more is looked for when so many are remembered.
    tidy_at: usize,
}

/// A table as small as this is not tidied.
const SPARE: usize = 1024;

impl<K: Hash + Eq> Buckets<K> {
    /// An empty table that remembers at most so many keys.
    pub fn new(pace: Pace, most: usize) -> Buckets<K> {
        Buckets { pace, most, paid: FxHashMap::default(), swept: None, tidy_at: SPARE }
    }

    /// Takes `units` from the key's bucket. `Err`: there are not so many, and will not be for so long.
    ///
    /// # Errors
    /// The time until the same wish is granted, if nothing else is taken meanwhile. A table full of debtors grants
    /// nothing to a stranger.
    pub fn take(&mut self, now: Instant, key: K, units: u32) -> Result<(), Duration> {
        if !self.paid.contains_key(&key) && self.paid.len() >= self.most && !self.sweep(now) {
            return Err(self.pace.every);
        }
        let owed =
            self.paid.get(&key).map_or(Duration::ZERO, |paid| paid.saturating_duration_since(now));
        let owed = owed.saturating_add(self.pace.of(units));
        let room = self.pace.of(self.pace.burst);
        if owed > room {
            return Err(owed - room);
        }
        match now.checked_add(owed) {
            Some(paid) if owed > Duration::ZERO => {
                self.paid.insert(key, paid);
                self.tidy(now);
            }
            _ => {}
        }
        Ok(())
    }

    /// Forgets who owes nothing, each time the table has doubled: each key is looked at a few times in all, and a rush
    /// leaves no table of its size behind for ever.
    fn tidy(&mut self, now: Instant) {
        if self.paid.len() >= self.tidy_at {
            self.settle(now);
        }
    }

    /// Forgets who owes nothing by now, and gives back the room. It looks at every key that is remembered.
    pub fn settle(&mut self, now: Instant) {
        if self.paid.capacity() > SPARE {
            self.paid.retain(|_, paid| *paid > now);
            self.tidy_at = (self.paid.len() * 2).max(SPARE);
            self.paid.shrink_to(self.tidy_at);
        }
    }

    /// Gives back what was taken and not used.
    pub fn give_back(&mut self, key: &K, units: u32) {
        let back = self.pace.of(units);
        if let Some(paid) = self.paid.get_mut(key) {
            *paid = paid.checked_sub(back).unwrap_or(*paid);
        }
    }

    /// Forgets what a key owes.
    pub fn forgive(&mut self, key: &K) {
        self.paid.remove(key);
    }

    /// Keys that are remembered.
    pub fn len(&self) -> usize {
        self.paid.len()
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.paid.is_empty()
    }

    /// Drops keys that owe nothing, at most once a second; whether there is room now.
    fn sweep(&mut self, now: Instant) -> bool {
        if self.swept.is_none_or(|at| now.saturating_duration_since(at) >= Duration::from_secs(1)) {
            self.swept = Some(now);
            self.paid.retain(|_, paid| *paid > now);
        }
        self.paid.len() < self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace { burst: 3, every: Duration::from_secs(10) };

    #[test]
    fn a_burst_is_granted_and_then_one_unit_in_its_time() {
        let mut buckets = Buckets::new(PACE, 10);
        let now = Instant::now();
        assert_eq!((0..9).filter(|_| buckets.take(now, "p1", 1).is_ok()).count(), 3);
        assert_eq!(buckets.take(now, "p1", 1), Err(Duration::from_secs(10)));
        assert_eq!(buckets.take(now, "p1", 2), Err(Duration::from_secs(20)));
        assert_eq!(
            buckets.take(now + Duration::from_secs(9), "p1", 1),
            Err(Duration::from_secs(1))
        );
        let later = now + Duration::from_secs(10);
        assert_eq!((0..9).filter(|_| buckets.take(later, "p1", 1).is_ok()).count(), 1);
        assert_eq!(buckets.take(now, "p2", 4), Err(Duration::from_secs(10)));
    }

    #[test]
    fn who_asks_without_pause_still_gets_what_flows_back() {
        let mut buckets = Buckets::new(PACE, 10);
        let now = Instant::now();
        let asked = (0..40_000).map(|n| now + Duration::from_millis(n));
        assert_eq!(asked.filter(|at| buckets.take(*at, "p1", 1).is_ok()).count(), 3 + 3);
    }

    #[test]
    fn what_was_given_back_can_be_taken_again_and_no_more_than_the_burst() {
        let mut buckets = Buckets::new(PACE, 10);
        let now = Instant::now();
        assert!(buckets.take(now, "p1", 3).is_ok());
        buckets.give_back(&"p1", 1);
        assert!(buckets.take(now, "p1", 1).is_ok());
        assert!(buckets.take(now, "p1", 1).is_err());
        for _ in 0..9 {
            buckets.give_back(&"p1", 3);
        }
        assert_eq!((0..9).filter(|_| buckets.take(now, "p1", 1).is_ok()).count(), 3);
        buckets.forgive(&"p1");
        assert!(buckets.is_empty());
    }

    #[test]
    fn who_owes_nothing_is_forgotten_when_nobody_comes_any_more() {
        let mut buckets = Buckets::new(PACE, 1_000_000);
        let began = Instant::now();
        for key in 0..50_000 {
            buckets.take(began, key, if key == 7 { 3 } else { 1 }).unwrap();
        }
        buckets.settle(began + Duration::from_secs(9));
        assert_eq!(buckets.len(), 50_000);
        buckets.settle(began + Duration::from_secs(11));
        assert_eq!(buckets.len(), 1, "who owes is remembered");
        assert!(buckets.paid.capacity() <= 4 * SPARE, "{}", buckets.paid.capacity());
    }

    /// Every phone that had ever registered was remembered until a million of them were.
    #[test]
    fn a_rush_is_forgotten_when_others_come() {
        let mut buckets = Buckets::new(PACE, 1_000_000);
        let began = Instant::now();
        for key in 0..50_000 {
            buckets.take(began, key, 1).unwrap();
        }
        assert_eq!(buckets.len(), 50_000, "who owes is remembered");
        let later = began + Duration::from_secs(11);
        for key in 50_000..100_000 {
            buckets.take(later, key, 1).unwrap();
        }
        assert_eq!(buckets.len(), 50_000, "who owes nothing is not");
        let last = later + Duration::from_secs(11);
        for key in 0..50_000 {
            // One after the other, each when the one before owes nothing.
            buckets.take(last + Duration::from_secs(11) * key, key, 1).unwrap();
        }
        assert!(buckets.paid.capacity() <= 4 * SPARE, "{}", buckets.paid.capacity());
    }
}
