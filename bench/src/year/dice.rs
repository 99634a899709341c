//! Numbers from a seed: the same seed gives the same book, on every machine and with every version of every library.

use switchbook_core::position::Moment;
use uuid::Uuid;

/// SplitMix64 (Steele, Lea, Flood 2014): small, and good enough to spread events over a year.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// From a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// One of the first `many` numbers, 0 the first; 0 when there are none.
    pub const fn below(&mut self, many: u64) -> u64 {
        ((self.next() as u128 * many as u128) >> 64) as u64
    }

    /// True so many times of a hundred.
    pub const fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    /// An id as a server makes it at this moment: a UUID of version 7.
    pub fn id(&mut self, at: Moment) -> Uuid {
        let mut random = [0; 10];
        random[..8].copy_from_slice(&self.next().to_le_bytes());
        random[8..].copy_from_slice(&self.next().to_le_bytes()[..2]);
        let milliseconds = u64::try_from(at.0 / 1000).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(milliseconds, &random).into_uuid()
    }
}
