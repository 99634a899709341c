//! The Merkle tree over the stored record bytes (RFC 9162 §2.1), kept incrementally: only the frontier, that is the
//! roots of the complete subtrees from left to right, one for each bit set in the number of leaves.

use sha2::{Digest, Sha256};

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// The hash of a leaf: `SHA-256(0x00 || body)`.
#[must_use]
pub fn leaf_hash(body: &[u8]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([0]);
    hasher.update(body);
    hasher.finalize().into()
}

/// The hash of an inner node: `SHA-256(0x01 || left || right)`.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut block = [0_u8; 65];
    block[0] = 1;
    block[1..33].copy_from_slice(left);
    block[33..].copy_from_slice(right);
    Sha256::digest(block).into()
}

/// The tree as far as it is needed to go on.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Frontier {
    leaves: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// A tree of so many leaves with these peaks, from the largest to the smallest.
    #[must_use]
    pub fn from_parts(leaves: u64, peaks: Vec<Hash>) -> Option<Self> {
        (leaves.count_ones() as usize == peaks.len()).then_some(Self { leaves, peaks })
    }

    /// The number of leaves.
    #[must_use]
    pub const fn leaves(&self) -> u64 {
        self.leaves
    }

    /// Roots of the complete subtrees, from the largest to the smallest.
    #[must_use]
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// Adds a leaf.
    pub fn push(&mut self, leaf: Hash) {
        let mut node = leaf;
        for _ in 0..self.leaves.trailing_ones() {
            let Some(left) = self.peaks.pop() else { break };
            node = node_hash(&left, &node);
        }
        self.peaks.push(node);
        self.leaves += 1;
    }

    /// The root; of no leaves, the hash of nothing (RFC 9162 §2.1.1).
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        let Some(smallest) = peaks.next() else { return Sha256::digest([]).into() };
        peaks.fold(*smallest, |right, left| node_hash(left, &right))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9162 §2.1.1 word by word: split at the largest power of two below n.
    fn naive(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Sha256::digest([]).into(),
            [one] => *one,
            many => {
                let split = many.len().next_power_of_two() / 2;
                node_hash(&naive(&many[..split]), &naive(&many[split..]))
            }
        }
    }

    #[test]
    fn the_frontier_gives_the_root_that_the_rfc_defines() {
        let leaves: Vec<Hash> = (0..200_u32).map(|n| leaf_hash(&n.to_be_bytes())).collect();
        let mut frontier = Frontier::default();
        for n in 0..leaves.len() {
            assert_eq!(frontier.root(), naive(&leaves[..n]));
            frontier.push(leaves[n]);
        }
        let again = Frontier::from_parts(frontier.leaves(), frontier.peaks().to_vec()).unwrap();
        assert_eq!(again.root(), frontier.root());
        assert_eq!(Frontier::from_parts(3, vec![]), None);
    }

    #[test]
    fn known_vectors_of_certificate_transparency() {
        // The first three leaves of the test tree that CT implementations share: "", 00, 10.
        let mut frontier = Frontier::default();
        let hex = |hash: Hash| hash.iter().map(|b| format!("{b:02x}")).collect::<String>();
        frontier.push(leaf_hash(b""));
        assert_eq!(
            hex(frontier.root()),
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
        );
        frontier.push(leaf_hash(&[0]));
        assert_eq!(
            hex(frontier.root()),
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"
        );
        frontier.push(leaf_hash(&[0x10]));
        assert_eq!(
            hex(frontier.root()),
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"
        );
    }
}
