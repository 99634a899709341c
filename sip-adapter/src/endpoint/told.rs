//! What was told lately of whom: a log says a thing once a source and not once a datagram, and who forges addresses fills
//! no disk either.

use rustc_hash::FxHashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// Who was told of lately.
pub(super) struct Told<K> {
    /// Of the same one again after so long.
    again: Duration,
    /// Of no more than so many meanwhile.
    most: usize,
    at: FxHashMap<K, Instant>,
}

impl<K: Hash + Eq> Told<K> {
    /// Nobody yet.
    pub fn new(again: Duration, most: usize) -> Self {
        Self { again, most, at: FxHashMap::default() }
    }

    /// Is it to be told of this one now? Where so many are told of that one more would be too much, it is not.
    pub fn tells(&mut self, now: Instant, of: K) -> bool {
        let again = self.again;
        let lately = |at: &Instant| now.saturating_duration_since(*at) < again;
        if self.at.get(&of).is_some_and(lately) {
            return false;
        }
        if self.at.len() >= self.most {
            self.at.retain(|_, at| lately(at));
        }
        let room = self.at.len() < self.most;
        if room {
            self.at.insert(of, now);
        }
        room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn each_is_told_of_once_a_minute_and_no_forger_silences_the_others_for_longer() {
        let (mut told, now) = (Told::new(MINUTE, 64), Instant::now());
        assert!(told.tells(now, 1));
        assert!(!told.tells(now, 1));
        assert!(told.tells(now, 2), "one that is loud hides no other");
        let lines = (0..100_000).filter(|n| told.tells(now, *n)).count();
        assert_eq!((lines, told.at.len()), (62, 64));
        assert!(!told.tells(now + MINUTE / 2, 99_999));
        assert!(told.tells(now + MINUTE, 99_999) && told.tells(now + MINUTE, 1));
        assert!(told.at.len() <= 64);
    }
}
