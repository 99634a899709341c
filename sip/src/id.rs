//! Branches, tags, Call-IDs and nonces' salt, all drawn from one seed that the caller provides.

use sha2::{Digest, Sha256};
use std::fmt;
use zeroize::Zeroize;

/// A source of identifiers nobody can guess: SHA-256 over a secret seed and a counter. It draws no randomness itself;
/// the same seed gives the same sequence, which tests and simulations live on.
#[derive(Clone)]
pub struct IdSource {
    seed: [u8; 32],
    counter: u64,
    pool: [u8; 32],
    left: usize,
}

impl fmt::Debug for IdSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdSource").field("counter", &self.counter).finish_non_exhaustive()
    }
}

impl Drop for IdSource {
    fn drop(&mut self) {
        self.seed.zeroize();
        self.pool.zeroize();
    }
}

impl IdSource {
    /// A source of its own for each seed; the seed must be secret and used once.
    pub fn new(seed: [u8; 32]) -> IdSource {
        IdSource { seed, counter: 0, pool: [0; 32], left: 0 }
    }

    /// A source whose sequence is independent of this one.
    pub fn fork(&mut self) -> IdSource {
        let mut seed = [0; 32];
        for chunk in seed.chunks_mut(8) {
            chunk.copy_from_slice(&self.u64().to_le_bytes());
        }
        IdSource::new(seed)
    }

    /// 64 bits.
    pub fn u64(&mut self) -> u64 {
        if self.left == 0 {
            let mut hash = Sha256::new();
            hash.update(self.seed);
            hash.update(self.counter.to_le_bytes());
            self.pool = hash.finalize().into();
            self.counter += 1;
            self.left = 4;
        }
        self.left -= 1;
        let mut word = [0; 8];
        word.copy_from_slice(&self.pool[self.left * 8..self.left * 8 + 8]);
        u64::from_le_bytes(word)
    }

    /// A branch with the magic cookie (RFC 3261 §8.1.1.7), 64 bits of it unguessable.
    pub fn branch(&mut self) -> String {
        format!("z9hG4bK{:016x}", self.u64())
    }

    /// A tag (RFC 3261 §19.3), 64 bits.
    pub fn tag(&mut self) -> String {
        format!("{:016x}", self.u64())
    }

    /// A Call-ID, 128 bits, without host (RFC 3261 §8.1.1.4).
    pub fn call_id(&mut self) -> String {
        format!("{:016x}{:016x}", self.u64(), self.u64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_one_sequence_without_repeats() {
        let (mut a, mut b) = (IdSource::new([7; 32]), IdSource::new([7; 32]));
        let mut seen = std::collections::HashSet::new();
        for _ in 0..1000 {
            let branch = a.branch();
            assert_eq!(branch, b.branch());
            assert!(seen.insert(branch));
        }
        assert_ne!(a.fork().tag(), a.fork().tag());
    }
}
