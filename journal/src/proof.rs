//! Proofs over the Merkle tree of the book (RFC 9162 §2.1.3 and §2.1.4): that a record stands in a sealed book, and
//! that one sealed book is the beginning of another. Both are lists of hashes, some twenty for millions of records.

use crate::merkle::{Hash, node_hash};

/// The hashes of complete subtrees: all that a proof is made of.
pub trait Nodes {
    /// Why a hash cannot be had.
    type Error;

    /// The hash of the complete subtree of 2^`level` leaves that begins with leaf `index` · 2^`level`.
    ///
    /// # Errors
    /// When it cannot be had.
    fn node(&mut self, level: u32, index: u64) -> Result<Hash, Self::Error>;
}

/// The root over the leaves from `start` to before `end`; `start` is a multiple of the power of two not below the count.
fn range<N: Nodes>(nodes: &mut N, start: u64, end: u64) -> Result<Hash, N::Error> {
    let count = end - start;
    if count.is_power_of_two() {
        let level = count.trailing_zeros();
        return nodes.node(level, start >> level);
    }
    let middle = start + split(count);
    Ok(node_hash(&range(nodes, start, middle)?, &range(nodes, middle, end)?))
}

/// The largest power of two below `count`, which is at least 2.
const fn split(count: u64) -> u64 {
    1 << (u64::BITS - 1 - (count - 1).leading_zeros())
}

/// The root of the tree of the first `size` leaves; `None` of none.
///
/// # Errors
/// Of `nodes`.
pub fn root<N: Nodes>(nodes: &mut N, size: u64) -> Result<Option<Hash>, N::Error> {
    if size == 0 { Ok(None) } else { range(nodes, 0, size).map(Some) }
}

/// PATH of RFC 9162 §2.1.3.1: that the leaf `index` (from 0) stands in the tree of `size` leaves, lowest first.
/// `None` when the tree has no such leaf.
///
/// # Errors
/// Of `nodes`.
pub fn inclusion<N: Nodes>(
    nodes: &mut N,
    index: u64,
    size: u64,
) -> Result<Option<Vec<Hash>>, N::Error> {
    if index >= size {
        return Ok(None);
    }
    let (mut start, mut end) = (0, size);
    let mut path = Vec::new();
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            path.push(range(nodes, middle, end)?);
            end = middle;
        } else {
            path.push(range(nodes, start, middle)?);
            start = middle;
        }
    }
    path.reverse();
    Ok(Some(path))
}

/// PROOF of RFC 9162 §2.1.4.1: that the tree of `older` leaves is the beginning of the tree of `newer` leaves.
/// `None` when the older one is empty or the longer one; nothing has to be shown for equal sizes.
///
/// # Errors
/// Of `nodes`.
pub fn consistency<N: Nodes>(
    nodes: &mut N,
    older: u64,
    newer: u64,
) -> Result<Option<Vec<Hash>>, N::Error> {
    if older == 0 || older > newer {
        return Ok(None);
    }
    let (mut start, mut end) = (0, newer);
    let mut path = Vec::new();
    while end != older {
        let middle = start + split(end - start);
        if older <= middle {
            path.push(range(nodes, middle, end)?);
            end = middle;
        } else {
            path.push(range(nodes, start, middle)?);
            start = middle;
        }
    }
    // The older tree's own root is known to who asks; a part of it is not.
    if start > 0 {
        path.push(range(nodes, start, end)?);
    }
    path.reverse();
    Ok(Some(path))
}

/// The root that an inclusion proof leads to (RFC 9162 §2.1.3.2); `None` when it has too few or too many hashes.
#[must_use]
pub fn root_of_inclusion(leaf: &Hash, index: u64, size: u64, path: &[Hash]) -> Option<Hash> {
    if index >= size {
        return None;
    }
    let (mut node, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in path {
        if last == 0 {
            return None;
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                (node, last) = (node >> 1, last >> 1);
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    (last == 0).then_some(hash)
}

/// The roots of the older and the newer tree that a consistency proof leads to (RFC 9162 §2.1.4.2), given the older
/// root; `None` when it has too few or too many hashes.
#[must_use]
pub fn roots_of_consistency(
    older: u64,
    newer: u64,
    older_root: &Hash,
    path: &[Hash],
) -> Option<(Hash, Hash)> {
    if older == 0 || older > newer {
        return None;
    }
    if older == newer {
        return path.is_empty().then_some((*older_root, *older_root));
    }
    let mut rest = path.iter();
    let first = if older.is_power_of_two() { older_root } else { rest.next()? };
    let shift = (older - 1).trailing_ones();
    let (mut node, mut last) = ((older - 1) >> shift, (newer - 1) >> shift);
    let (mut old, mut new) = (*first, *first);
    for hash in rest {
        if last == 0 {
            return None;
        }
        if node & 1 == 1 || node == last {
            old = node_hash(hash, &old);
            new = node_hash(hash, &new);
            while node & 1 == 0 && node != 0 {
                (node, last) = (node >> 1, last >> 1);
            }
        } else {
            new = node_hash(&new, hash);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    (last == 0).then_some((old, new))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merkle::{Frontier, leaf_hash};
    use proptest::prelude::*;
    use std::convert::Infallible;

    /// All leaves in memory.
    struct Leaves(Vec<Hash>);

    impl Nodes for Leaves {
        type Error = Infallible;

        fn node(&mut self, level: u32, index: u64) -> Result<Hash, Infallible> {
            let (start, count) = ((index << level) as usize, 1 << level);
            let mut tree = Frontier::default();
            self.0[start..start + count].iter().for_each(|leaf| tree.push(*leaf));
            Ok(tree.root())
        }
    }

    fn leaves(count: u64) -> Leaves {
        Leaves((0..count).map(|n| leaf_hash(&n.to_be_bytes())).collect())
    }

    /// PATH(m, D_n) as RFC 9162 §2.1.3.1 writes it.
    fn path(m: usize, d: &[Hash]) -> Vec<Hash> {
        if d.len() == 1 {
            return Vec::new();
        }
        let k = d.len().next_power_of_two() / 2;
        let root = |part: &[Hash]| {
            let mut tree = Frontier::default();
            part.iter().for_each(|leaf| tree.push(*leaf));
            tree.root()
        };
        if m < k {
            let mut below = path(m, &d[..k]);
            below.push(root(&d[k..]));
            below
        } else {
            let mut below = path(m - k, &d[k..]);
            below.push(root(&d[..k]));
            below
        }
    }

    #[test]
    fn paths_are_those_of_the_rfc_for_every_leaf_of_every_small_tree() {
        for size in 1..=40 {
            let mut tree = leaves(size);
            let top = root(&mut tree, size).unwrap().unwrap();
            for index in 0..size {
                let found = inclusion(&mut tree, index, size).unwrap().unwrap();
                assert_eq!(found, path(index as usize, &tree.0));
                let leaf = tree.0[index as usize];
                assert_eq!(root_of_inclusion(&leaf, index, size, &found), Some(top));
            }
            assert_eq!(inclusion(&mut tree, size, size).unwrap(), None);
        }
    }

    #[test]
    fn the_example_of_the_rfc_has_the_proofs_that_stand_there() {
        // RFC 9162 §2.1.5: seven leaves; node names as there.
        let mut tree = leaves(7);
        let [a, b, c, d, e, f, j] = std::array::from_fn(|n| tree.0[n]);
        let (g, h, i) = (node_hash(&a, &b), node_hash(&c, &d), node_hash(&e, &f));
        let (k, l) = (node_hash(&g, &h), node_hash(&i, &j));
        let of = |tree: &mut Leaves, index| inclusion(tree, index, 7).unwrap().unwrap();
        assert_eq!(of(&mut tree, 0), [b, h, l]);
        assert_eq!(of(&mut tree, 3), [c, g, l]);
        assert_eq!(of(&mut tree, 4), [f, j, k]);
        assert_eq!(of(&mut tree, 6), [i, k]);
        let between = |tree: &mut Leaves, older| consistency(tree, older, 7).unwrap().unwrap();
        assert_eq!(between(&mut tree, 3), [c, d, g, l]);
        assert_eq!(between(&mut tree, 4), [l]);
        assert_eq!(between(&mut tree, 6), [i, j, k]);
        assert!(between(&mut tree, 7).is_empty());
    }

    proptest! {
        #[test]
        fn a_beginning_is_shown_to_be_one_and_nothing_else_is(
            newer in 1_u64..300, part in 0.0_f64..1.0, wrong in 0_usize..9,
        ) {
            let older = 1 + ((newer - 1) as f64 * part) as u64;
            let mut tree = leaves(newer);
            let old = root(&mut tree, older).unwrap().unwrap();
            let new = root(&mut tree, newer).unwrap().unwrap();
            let mut proof = consistency(&mut tree, older, newer).unwrap().unwrap();
            prop_assert_eq!(roots_of_consistency(older, newer, &old, &proof), Some((old, new)));
            if let Some(hash) = proof.get_mut(wrong) {
                hash[0] ^= 1;
                prop_assert_ne!(roots_of_consistency(older, newer, &old, &proof), Some((old, new)));
                proof.pop();
                prop_assert_ne!(roots_of_consistency(older, newer, &old, &proof), Some((old, new)));
            }
        }
    }
}
