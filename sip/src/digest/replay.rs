//! Which nonce counts were already used (RFC 7616 §3.3, §5.12): per nonce the highest and a window below it.

use super::nonce;
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::time::Duration;

#[derive(Debug, Clone, Copy)]
struct Entry {
    highest: u32,
    /// Bit n: `highest - n` was used; the low half first, so that an entry is aligned to four bytes.
    window: [u32; 2],
}

/// A nonce's time and salt, which no other nonce of ours has. What else it is made of is their signature, which was checked
/// before.
type Name = [u8; 12];

/// Milliseconds, of which 48 bits last as long as the time in a nonce does.
type Short = [u8; 6];

fn short(moment: u64) -> Short {
    let mut short = Short::default();
    short.copy_from_slice(&moment.min((1 << 48) - 1).to_be_bytes()[2..]);
    short
}

fn long(short: Short) -> u64 {
    short.iter().fold(0, |moment, byte| moment << 8 | u64::from(*byte))
}

/// A bounded table of nonces in use. A nonce that was pushed out is answered like an expired one. Every phone has one
/// here, so it is kept small.
#[derive(Debug)]
pub struct Replay {
    entries: FxHashMap<Name, Entry>,
    order: VecDeque<(Short, Name)>,
    capacity: usize,
    /// Nonces that expire before this may have been pushed out.
    forgotten: u64,
}

/// Rounded up: what has not expired yet is never taken for expired, when the moment it is held against is rounded down.
fn millis(expires: Duration) -> u64 {
    u64::try_from(expires.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

impl Replay {
    /// A table of at most `capacity` nonces.
    pub fn new(capacity: usize) -> Replay {
        Replay {
            entries: FxHashMap::default(),
            order: VecDeque::new(),
            capacity: capacity.max(1),
            forgotten: 0,
        }
    }

    /// Takes a count for a nonce of ours. `false`: used before, too old for the window, or the nonce was forgotten.
    pub fn accept(&mut self, now: Duration, nonce: &[u8], expires: Duration, count: u32) -> bool {
        let Some(key) = nonce::name(nonce) else {
            return false;
        };
        if count == 0 {
            return false;
        }
        if let Some(entry) = self.entries.get_mut(&key) {
            return entry.accept(count);
        }
        self.expire(u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
        let expires = millis(expires);
        if expires <= self.forgotten {
            return false;
        }
        if self.entries.len() >= self.capacity
            && let Some((expires, oldest)) = self.order.pop_front()
        {
            self.entries.remove(&oldest);
            self.forgotten = self.forgotten.max(long(expires));
        }
        self.entries.insert(key, Entry { highest: count, window: [1, 0] });
        // Nonces come nearly in the order they were issued; the few that do not wait a little longer.
        self.order.push_back((short(expires), key));
        true
    }

    /// Would [`Replay::accept`] refuse this count?
    pub fn is_taken(&self, nonce: &[u8], expires: Duration, count: u32) -> bool {
        let Some(key) = nonce::name(nonce) else { return true };
        match self.entries.get(&key) {
            _ if count == 0 => true,
            Some(entry) => !Entry::accept(&mut { *entry }, count),
            None => millis(expires) <= self.forgotten,
        }
    }

    /// Nonces remembered.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn expire(&mut self, now: u64) {
        while let Some((expires, key)) = self.order.front() {
            if long(*expires) > now {
                break;
            }
            self.entries.remove(key);
            self.order.pop_front();
        }
    }
}

impl Entry {
    fn accept(&mut self, count: u32) -> bool {
        let used = u64::from(self.window[1]) << 32 | u64::from(self.window[0]);
        let window = match count.checked_sub(self.highest) {
            Some(shift @ 1..) => used.checked_shl(shift).unwrap_or(0) | 1,
            _ => match 1_u64.checked_shl(self.highest - count) {
                Some(this) if used & this == 0 => used | this,
                _ => return false,
            },
        };
        self.highest = self.highest.max(count);
        self.window = [window as u32, (window >> 32) as u32];
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Duration = Duration::from_secs(100);

    #[test]
    fn each_count_is_taken_once_and_late_ones_within_the_window() {
        let mut replay = Replay::new(10);
        let mut take = |n| replay.accept(Duration::ZERO, &[b'n'; 32], T, n);
        assert!(take(1) && !take(1) && take(3) && take(2) && !take(2) && !take(3) && !take(0));
        assert!(take(200) && !take(136) && take(137));
    }

    #[test]
    fn asking_takes_nothing() {
        let mut replay = Replay::new(1);
        assert!(!replay.is_taken(&[b'1'; 32], T, 1) && replay.is_taken(&[b'1'; 32], T, 0));
        assert!(replay.is_empty());
        assert!(replay.accept(Duration::ZERO, &[b'1'; 32], T, 5));
        assert!(replay.is_taken(&[b'1'; 32], T, 5) && !replay.is_taken(&[b'1'; 32], T, 4));
        assert!(replay.accept(Duration::ZERO, &[b'1'; 32], T, 4), "the question took nothing");
        assert!(replay.accept(Duration::ZERO, &[b'2'; 32], T, 1));
        assert!(replay.is_taken(&[b'1'; 32], T, 6), "pushed out");
    }

    #[test]
    fn what_one_nonce_takes_stays_small() {
        assert_eq!((size_of::<(Name, Entry)>(), size_of::<(Short, Name)>()), (24, 18));
        for moment in [0, 1, 1_900_000_000_123, (1 << 48) - 1] {
            assert_eq!(long(short(moment)), moment);
        }
        assert_eq!(long(short(u64::MAX)), (1 << 48) - 1);
    }

    /// Within the last millisecond of its life a nonce was let go of, and its count was taken a second time.
    #[test]
    fn a_nonce_is_remembered_to_the_very_end_of_its_life() {
        let (mut replay, nearly) = (Replay::new(9), T - Duration::from_micros(400));
        assert!(replay.accept(Duration::ZERO, &[b'1'; 32], T, 1));
        assert!(replay.accept(nearly, &[b'2'; 32], T + T, 1));
        assert!(!replay.accept(nearly, &[b'1'; 32], T, 1));
    }

    #[test]
    fn the_table_is_bounded_and_expires() {
        let mut replay = Replay::new(2);
        assert!(replay.accept(Duration::ZERO, &[b'1'; 32], T, 1));
        assert!(replay.accept(Duration::ZERO, &[b'2'; 32], T + T, 1));
        assert!(replay.accept(Duration::ZERO, &[b'3'; 32], T + T, 1));
        assert_eq!(replay.len(), 2);
        // The first was pushed out: it must not count as new.
        assert!(!replay.accept(Duration::ZERO, &[b'1'; 32], T, 1));
        assert!(replay.accept(T + T, &[b'4'; 32], T * 3, 1));
        assert_eq!(replay.len(), 1);
    }
}
