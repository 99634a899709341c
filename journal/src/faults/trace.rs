//! What was done to a disk, in order: from it every folder can be made that a power cut at any moment could have left.

use super::SimDisk;
use super::disk::{Cut, Disk, Op};

/// A recorded run.
#[derive(Clone, Debug, Default)]
pub struct Trace(pub(super) Vec<Op>);

impl Trace {
    /// Its operations.
    #[must_use]
    pub fn ops(&self) -> &[Op] {
        &self.0
    }

    /// The notes made before so many operations were done.
    pub fn notes(&self, point: usize) -> impl Iterator<Item = u64> + '_ {
        self.0.iter().take(point).filter_map(|op| match op {
            Op::Note(note) => Some(*note),
            _ => None,
        })
    }

    /// For every moment at which the disk is another one (before the first operation, and behind each): how many
    /// operations were done, and the machine started again after a power cut there. What is left of unsynced writes is
    /// the same for the same seed.
    pub fn cuts(&self, cut: Cut, seed: u64) -> impl Iterator<Item = (usize, SimDisk)> + '_ {
        let mut disk = Disk::new(seed);
        let mut done = 0;
        std::iter::from_fn(move || {
            while let Some(Op::Note(_)) = self.0.get(done) {
                done += 1;
            }
            if done > self.0.len() {
                return None;
            }
            let point = done;
            let mut left = disk.clone();
            left.reseed(seed.wrapping_add(point as u64));
            left.cut(cut);
            if let Some(op) = self.0.get(done) {
                disk.apply(op);
            }
            done += 1;
            Some((point, SimDisk::of(left)))
        })
    }
}
