//! Sources that try many names and never prove one: scans for extensions, passwords tried across all of them. Each name
//! is tried so seldom that no account notices; the source tells.

use rustc_hash::FxHashMap;
use std::time::{Duration, Instant};
use switchbook_sip::limits::SourceKey;

/// Sources watched at a time.
const MOST: usize = 4_096;
/// A source that was quiet for so long begins anew.
const MEMORY: Duration = Duration::from_secs(900);
/// Names answered for wrongly before the first word of it.
pub(super) const GUESSED: u32 = 64;
/// Names only asked for, and challenged: after a power cut a whole office may be at the door behind one address, and
/// each phone there proves its name a moment later.
pub(super) const ASKED: u32 = 512;
/// Names are told apart by so many bits; where they do not suffice any more, the attempts are counted.
const BITS: u64 = 1024;

struct Tried {
    names: [u64; (BITS / 64) as usize],
    attempts: u32,
    told: u32,
    last: Instant,
}

/// What a source has tried since it was last told of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Spray {
    /// Different names, at least.
    pub names: u32,
    /// Requests.
    pub attempts: u32,
    /// Nobody was told of this source before.
    pub is_new: bool,
}

/// The sources that have names open.
pub(super) struct Sprays {
    first: u32,
    sources: FxHashMap<SourceKey, Tried>,
}

impl Sprays {
    /// No source yet; the first word at so many names.
    pub fn new(first: u32) -> Self {
        Self { first, sources: FxHashMap::default() }
    }

    /// A name was claimed and not proven. Told at the first bound, and whenever that doubles.
    pub fn tried(&mut self, now: Instant, source: SourceKey, name: u64) -> Option<Spray> {
        if self.sources.len() >= MOST && !self.sources.contains_key(&source) {
            self.make_room(now);
        }
        let fresh = || Tried { names: [0; 16], attempts: 0, told: 0, last: now };
        let tried = self.sources.entry(source).or_insert_with(fresh);
        if now.saturating_duration_since(tried.last) >= MEMORY {
            *tried = fresh();
        }
        tried.last = now;
        tried.attempts = tried.attempts.saturating_add(1);
        let (word, bit) = place(name);
        if let Some(word) = tried.names.get_mut(word) {
            *word |= bit;
        }
        let names = tried.names.iter().map(|word| word.count_ones()).sum::<u32>();
        // Two names share a bit now and then: nearly all set means more than can be told apart.
        let many = u64::from(names) * 10 > BITS * 9;
        let measure = if many { tried.attempts.max(names) } else { names };
        let next = if tried.told == 0 { self.first } else { tried.told.saturating_mul(2) };
        if measure < next {
            return None;
        }
        let is_new = std::mem::replace(&mut tried.told, measure) == 0;
        Some(Spray { names, attempts: tried.attempts, is_new })
    }

    /// A name was proven: it was no guess.
    pub fn proven(&mut self, source: SourceKey, name: u64) {
        let Some(tried) = self.sources.get_mut(&source) else { return };
        let (word, bit) = place(name);
        if let Some(word) = tried.names.get_mut(word) {
            *word &= !bit;
        }
        if tried.names.iter().all(|word| *word == 0) {
            self.sources.remove(&source);
        }
    }

    /// Those quiet for longest go, an eighth at a time: one pass for many strangers.
    fn make_room(&mut self, now: Instant) {
        self.sources.retain(|_, tried| now.saturating_duration_since(tried.last) < MEMORY);
        if self.sources.len() >= MOST {
            let mut times: Vec<Instant> = self.sources.values().map(|tried| tried.last).collect();
            let (_, cut, _) = times.select_nth_unstable(MOST / 8);
            let cut = *cut;
            self.sources.retain(|_, tried| tried.last > cut);
        }
    }
}

fn place(name: u64) -> (usize, u64) {
    let at = name % BITS;
    (usize::try_from(at / 64).unwrap_or(0), 1 << (at % 64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};

    fn source(n: u32) -> SourceKey {
        SourceKey::of(IpAddr::V4(Ipv4Addr::from(n)))
    }

    /// Spreads small numbers as a hash would.
    fn name(n: u64) -> u64 {
        n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20
    }

    #[test]
    fn many_names_are_told_at_64_and_whenever_they_double() {
        let (mut sprays, now) = (Sprays::new(GUESSED), Instant::now());
        let told: Vec<Spray> =
            (0..5_000).filter_map(|n| sprays.tried(now, source(1), name(n))).collect();
        let names: Vec<u32> = told.iter().map(|spray| spray.names).collect();
        assert_eq!(names[..4], [64, 128, 256, 512]);
        assert!(told.len() <= 8, "{told:?}");
        assert!(told[0].is_new && told[1..].iter().all(|spray| !spray.is_new));
    }

    #[test]
    fn one_name_tried_for_ever_is_no_spray_and_names_that_are_proven_are_none() {
        let (mut sprays, now) = (Sprays::new(GUESSED), Instant::now());
        for n in 0..10_000 {
            assert_eq!(sprays.tried(now, source(1), name(7)), None);
            assert_eq!(sprays.tried(now, source(2), name(n)), None);
            sprays.proven(source(2), name(n));
        }
        assert_eq!(sprays.sources.len(), 1);
    }

    #[test]
    fn the_table_is_bounded_and_forgets_who_was_quiet() {
        let (mut sprays, now) = (Sprays::new(GUESSED), Instant::now());
        for n in 0..20_000 {
            sprays.tried(now + Duration::from_millis(n.into()), source(n), 1);
            assert!(sprays.sources.len() <= MOST);
        }
        let (early, late) = (now, now + MEMORY);
        for n in 0..63 {
            sprays.tried(early, source(1), name(n));
        }
        assert_eq!(sprays.tried(late, source(1), name(99)), None);
    }
}
