//! What a disk in memory holds: files as processes see them, as a power cut would leave them, and what lies between.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Parts of a write survive a power cut sector by sector.
const SECTOR: usize = 512;

/// A change of the disk, or a note beside it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Op {
    /// A name appeared in a folder, or went (`None`).
    Name {
        /// Which.
        path: PathBuf,
        /// The file that has it now.
        inode: Option<u64>,
    },
    /// A file got another name: one change, never both names, never none.
    Rename {
        /// Before.
        from: PathBuf,
        /// Afterwards.
        to: PathBuf,
    },
    /// Bytes were written.
    Write {
        /// To which file.
        inode: u64,
        /// Where.
        offset: u64,
        /// What.
        bytes: Vec<u8>,
    },
    /// A file was cut or lengthened.
    Length {
        /// Which.
        inode: u64,
        /// To so many bytes.
        length: u64,
    },
    /// What was written to a file is durable.
    Sync {
        /// Which.
        inode: u64,
    },
    /// A sync of a file failed: what it should have saved can still be read, and never reaches the disk.
    SyncLost {
        /// Which.
        inode: u64,
    },
    /// The names in a folder are durable.
    SyncFolder {
        /// Which.
        folder: PathBuf,
    },
    /// Whoever records says that something happened here (an answer was given, say).
    Note(u64),
}

/// What a power cut leaves of that which no sync covered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cut {
    /// Nothing.
    Nothing,
    /// All of it.
    Everything,
    /// Some of it: writes whole, torn by sectors or not at all, in any order; of each folder a beginning of the changes
    /// of its names.
    Some,
}

type Names = BTreeMap<PathBuf, u64>;

#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    random: u64,
    pub(super) names: Names,
    durable_names: Names,
    /// Changes of names that no folder sync has covered, in order; those of a rename together.
    pending_names: Vec<Vec<(PathBuf, Option<u64>)>>,
    pub(super) inodes: BTreeMap<u64, Inode>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Inode {
    pub(super) current: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write(u64, Vec<u8>),
    Length(u64),
}

impl Disk {
    pub(super) fn new(seed: u64) -> Self {
        Self { random: seed | 1, ..Self::default() }
    }

    pub(super) fn reseed(&mut self, seed: u64) {
        self.random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    }

    /// xorshift64*: small, and the same everywhere.
    pub(super) fn random(&mut self, below: u64) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) % below.max(1)
    }

    pub(super) fn used(&self) -> u64 {
        let files = self.names.values().filter_map(|inode| self.inodes.get(inode));
        files.map(|inode| inode.current.len() as u64).sum()
    }

    /// A number no file has had.
    pub(super) fn next_inode(&self) -> u64 {
        self.inodes.keys().next_back().map_or(1, |last| last + 1)
    }

    pub(super) fn apply(&mut self, op: &Op) {
        match op {
            Op::Name { path, inode } => {
                if let Some(inode) = inode {
                    self.inodes.entry(*inode).or_default();
                }
                self.rename_all(vec![(path.clone(), *inode)]);
            }
            Op::Rename { from, to } => {
                if let Some(inode) = self.names.get(from).copied() {
                    self.rename_all(vec![(to.clone(), Some(inode)), (from.clone(), None)]);
                }
            }
            Op::Write { inode, offset, bytes } => self.change(*inode, |file| {
                put(&mut file.current, *offset as usize, bytes);
                file.pending.push(Change::Write(*offset, bytes.clone()));
            }),
            Op::Length { inode, length } => self.change(*inode, |file| {
                file.current.resize(*length as usize, 0);
                file.pending.push(Change::Length(*length));
            }),
            Op::Sync { inode } => self.change(*inode, |file| {
                file.pending.clear();
                file.durable.clone_from(&file.current);
            }),
            Op::SyncLost { inode } => self.change(*inode, |file| file.pending.clear()),
            Op::SyncFolder { folder } => self.sync_folder(folder),
            Op::Note(_) => {}
        }
    }

    fn change(&mut self, inode: u64, change: impl FnOnce(&mut Inode)) {
        if let Some(file) = self.inodes.get_mut(&inode) {
            change(file);
        }
    }

    fn rename_all(&mut self, changes: Vec<(PathBuf, Option<u64>)>) {
        apply_names(&mut self.names, &changes);
        self.pending_names.push(changes);
    }

    fn sync_folder(&mut self, folder: &Path) {
        for changes in std::mem::take(&mut self.pending_names) {
            if is_in(folder, &changes) {
                apply_names(&mut self.durable_names, &changes);
            } else {
                self.pending_names.push(changes);
            }
        }
    }

    /// The power goes, and comes again.
    pub(super) fn cut(&mut self, cut: Cut) {
        self.cut_names(cut);
        let mut inodes = std::mem::take(&mut self.inodes);
        for inode in inodes.values_mut() {
            for change in std::mem::take(&mut inode.pending) {
                match (cut, change) {
                    (Cut::Nothing, _) => {}
                    (Cut::Everything, Change::Length(length)) => {
                        inode.durable.resize(length as usize, 0);
                    }
                    (Cut::Everything, Change::Write(offset, bytes)) => {
                        put(&mut inode.durable, offset as usize, &bytes);
                    }
                    (Cut::Some, Change::Length(length)) => {
                        if self.random(2) == 0 {
                            inode.durable.resize(length as usize, 0);
                        }
                    }
                    (Cut::Some, Change::Write(offset, bytes)) => {
                        self.tear(&mut inode.durable, offset as usize, &bytes);
                    }
                }
            }
            inode.current.clone_from(&inode.durable);
        }
        self.inodes = inodes;
    }

    /// Within a folder names go to the disk in order; folders do not wait for each other.
    fn cut_names(&mut self, cut: Cut) {
        let pending = std::mem::take(&mut self.pending_names);
        let mut kept: BTreeMap<PathBuf, usize> = BTreeMap::new();
        for changes in &pending {
            let folder = changes.first().and_then(|(path, _)| path.parent());
            *kept.entry(folder.unwrap_or(Path::new("")).to_path_buf()).or_default() += 1;
        }
        for (folder, many) in kept {
            let many = match cut {
                Cut::Nothing => 0,
                Cut::Everything => many,
                Cut::Some => self.random(many as u64 + 1) as usize,
            };
            for changes in pending.iter().filter(|changes| is_in(&folder, changes)).take(many) {
                apply_names(&mut self.durable_names, changes);
            }
        }
        self.names.clone_from(&self.durable_names);
    }

    /// Each sector for itself: kept or lost, in any order.
    fn tear(&mut self, file: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
        let mode = self.random(4);
        let mut at = 0;
        while at < bytes.len() {
            let place = offset + at;
            let length = (SECTOR - place % SECTOR).min(bytes.len() - at);
            let keep = match mode {
                0 => false,
                1 => true,
                _ => self.random(2) == 0,
            };
            if keep {
                put(file, place, &bytes[at..at + length]);
            }
            at += length;
        }
    }
}

impl Inode {
    /// Changes what it holds behind everybody's back, durably.
    pub(super) fn tamper(&mut self, change: impl FnOnce(&mut Vec<u8>)) {
        change(&mut self.current);
        self.durable.clone_from(&self.current);
        self.pending.clear();
    }
}

fn is_in(folder: &Path, changes: &[(PathBuf, Option<u64>)]) -> bool {
    changes.first().is_some_and(|(path, _)| path.parent() == Some(folder))
}

fn apply_names(names: &mut Names, changes: &[(PathBuf, Option<u64>)]) {
    for (path, inode) in changes {
        match inode {
            Some(inode) => names.insert(path.clone(), *inode),
            None => names.remove(path),
        };
    }
}

fn put(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if file.len() < at + bytes.len() {
        file.resize(at + bytes.len(), 0);
    }
    file[at..at + bytes.len()].copy_from_slice(bytes);
}
