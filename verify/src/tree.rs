//! Merkle trees as RFC 9162 §2.1 defines them, word by word: recursive, so that each line can be held against the RFC.

use sha2::{Digest, Sha256};

/// SHA-256.
pub type Hash = [u8; 32];

/// The hash of a leaf.
pub fn leaf(bytes: &[u8]) -> Hash {
    let mut sum = Sha256::new();
    sum.update([0x00]);
    sum.update(bytes);
    sum.finalize().into()
}

/// The hash of an inner node.
pub fn node(left: &Hash, right: &Hash) -> Hash {
    let mut sum = Sha256::new();
    sum.update([0x01]);
    sum.update(left);
    sum.update(right);
    sum.finalize().into()
}

/// The largest power of two smaller than `n`, which is more than 1.
fn k(n: u64) -> u64 {
    let mut k = 1;
    while k < n - k {
        k *= 2;
    }
    k
}

/// §2.1.3: the root that the path of leaf `m` in a tree of `n` leaves leads to; `None` when the path does not fit.
pub fn by_inclusion(m: u64, n: u64, leaf: Hash, path: &[Hash]) -> Option<Hash> {
    if m >= n {
        return None;
    }
    if n == 1 {
        return path.is_empty().then_some(leaf);
    }
    let (last, path) = path.split_last()?;
    let k = k(n);
    Some(if m < k {
        node(&by_inclusion(m, k, leaf, path)?, last)
    } else {
        node(last, &by_inclusion(m - k, n - k, leaf, path)?)
    })
}

/// §2.1.4: the roots of the first `m` and of all `n` leaves that a proof leads to, given the root of the first `m`;
/// `None` when the proof does not fit.
pub fn by_consistency(m: u64, n: u64, old: Hash, proof: &[Hash]) -> Option<(Hash, Hash)> {
    if m == 0 || m > n { None } else { subproof(m, n, old, proof, true) }
}

fn subproof(m: u64, n: u64, old: Hash, proof: &[Hash], whole: bool) -> Option<(Hash, Hash)> {
    if m == n {
        return match (whole, proof) {
            (true, []) => Some((old, old)),
            (false, [hash]) => Some((*hash, *hash)),
            _ => None,
        };
    }
    let (last, proof) = proof.split_last()?;
    let k = k(n);
    if m <= k {
        let (first, second) = subproof(m, k, old, proof, whole)?;
        Some((first, node(&second, last)))
    } else {
        let (first, second) = subproof(m - k, n - k, old, proof, false)?;
        Some((node(last, &first), node(last, &second)))
    }
}

/// A tree that grows: the roots of its complete subtrees, with their heights, from left to right.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Growing {
    subtrees: Vec<(u32, Hash)>,
    leaves: u64,
}

impl Growing {
    /// Adds a leaf.
    pub fn push(&mut self, leaf: Hash) {
        let mut new = (0, leaf);
        while let Some((height, left)) = self.subtrees.last()
            && *height == new.0
        {
            new = (height + 1, node(left, &new.1));
            self.subtrees.pop();
        }
        self.subtrees.push(new);
        self.leaves += 1;
    }

    /// So many leaves.
    pub const fn leaves(&self) -> u64 {
        self.leaves
    }

    /// The root over all of them; of none, the hash of nothing.
    pub fn root(&self) -> Hash {
        let mut from_the_right = self.subtrees.iter().rev().map(|(_, hash)| *hash);
        match from_the_right.next() {
            None => Sha256::digest([]).into(),
            Some(last) => from_the_right.fold(last, |right, left| node(&left, &right)),
        }
    }

    /// The roots of the complete subtrees, largest first.
    pub fn peaks(&self) -> impl Iterator<Item = &Hash> {
        self.subtrees.iter().map(|(_, hash)| hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
            .collect()
    }

    fn hash(text: &str) -> Hash {
        hex(text).try_into().unwrap()
    }

    /// The leaves that implementations of Certificate Transparency share for their tests (RFC 6962 trees).
    const LEAVES: [&str; 8] = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ];
    /// The roots over the first 1 to 8 of them.
    const ROOTS: [&str; 8] = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    #[test]
    fn the_roots_are_those_of_certificate_transparency() {
        let mut tree = Growing::default();
        assert_eq!(
            tree.root(),
            hash("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        );
        for (bytes, root) in LEAVES.iter().zip(ROOTS) {
            tree.push(leaf(&hex(bytes)));
            assert_eq!(tree.root(), hash(root), "{} leaves", tree.leaves());
        }
    }

    /// Inclusion and consistency proofs from the same test data.
    #[test]
    fn the_proofs_are_those_of_certificate_transparency() {
        let leaves: Vec<Hash> = LEAVES.iter().map(|bytes| leaf(&hex(bytes))).collect();
        let inclusion: [(u64, u64, &[&str]); 3] = [
            (
                0,
                8,
                &[
                    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
                ],
            ),
            (
                5,
                8,
                &[
                    "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                    "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
                ],
            ),
            (2, 3, &["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
        ];
        for (m, n, path) in inclusion {
            let path: Vec<Hash> = path.iter().map(|text| hash(text)).collect();
            let root = hash(ROOTS[n as usize - 1]);
            assert_eq!(by_inclusion(m, n, leaves[m as usize], &path), Some(root), "{m} in {n}");
            assert_ne!(by_inclusion(m, n, leaves[(m as usize + 1) % 8], &path), Some(root));
            assert_eq!(by_inclusion(m, n, leaves[m as usize], &path[1..]), None);
            assert_eq!(by_inclusion(n, n, leaves[m as usize], &path), None);
        }
        let consistency: [(u64, u64, &[&str]); 3] = [
            (
                1,
                8,
                &[
                    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
                ],
            ),
            (
                6,
                8,
                &[
                    "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                    "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
                ],
            ),
            (
                2,
                5,
                &[
                    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                    "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                ],
            ),
        ];
        for (m, n, proof) in consistency {
            let proof: Vec<Hash> = proof.iter().map(|text| hash(text)).collect();
            let (old, new) = (hash(ROOTS[m as usize - 1]), hash(ROOTS[n as usize - 1]));
            assert_eq!(by_consistency(m, n, old, &proof), Some((old, new)), "{m} in {n}");
            let mut wrong = proof.clone();
            wrong[0][0] ^= 1;
            assert_ne!(by_consistency(m, n, old, &wrong), Some((old, new)));
            assert_eq!(by_consistency(m, n, old, &proof[1..]), None);
        }
        assert_eq!(by_consistency(0, 8, hash(ROOTS[0]), &[]), None);
        assert_eq!(
            by_consistency(8, 8, hash(ROOTS[7]), &[]),
            Some((hash(ROOTS[7]), hash(ROOTS[7])))
        );
    }
}
