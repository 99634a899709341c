//! A disk in memory that behaves as badly as a real one may: what was not synced is lost, torn or reordered at a power
//! cut, names included; space runs out; writes and syncs fail, and what a failed sync covered is gone although it can
//! still be read. One seed, one behaviour. For tests, behind the feature `faults`.

use crate::files::{FileLike, Files, How};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A part of the disk's promise that is taken out, to show that tests see it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mutant {
    /// Syncing a file does nothing.
    NoSync,
    /// Syncing a folder does nothing.
    NoFolderSync,
}

const SECTOR: usize = 512;

/// The disk, as one life of the machine sees it: after [`SimDisk::power_cut`] only the new handle works.
#[derive(Clone, Debug)]
pub struct SimDisk {
    disk: Arc<Mutex<Disk>>,
    life: u64,
}

#[derive(Debug, Default)]
struct Disk {
    life: u64,
    random: u64,
    names: BTreeMap<PathBuf, u64>,
    durable_names: BTreeMap<PathBuf, u64>,
    /// Changes of names that no folder sync has covered, in order.
    pending_names: Vec<(PathBuf, Option<u64>)>,
    inodes: BTreeMap<u64, Inode>,
    next_inode: u64,
    locked: BTreeSet<u64>,
    mutant: Option<Mutant>,
    /// Operations until the machine is dead.
    fuse: Option<u64>,
    capacity: Option<u64>,
    failing_sync: Option<String>,
    failing_write: Option<String>,
    syncs: BTreeMap<PathBuf, u64>,
}

#[derive(Debug, Default)]
struct Inode {
    current: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write(u64, Vec<u8>),
    Length(u64),
}

fn error(code: i32) -> io::Error {
    io::Error::from_raw_os_error(code)
}

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

impl SimDisk {
    /// An empty disk; the seed decides what a power cut leaves.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let disk = Disk { random: seed | 1, ..Disk::default() };
        Self { disk: Arc::new(Mutex::new(disk)), life: 0 }
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an operation and gives the disk, if this life of the machine still goes on.
    fn alive(&self) -> io::Result<MutexGuard<'_, Disk>> {
        let mut disk = self.disk();
        if disk.life != self.life || disk.fuse == Some(0) {
            return Err(error(EIO));
        }
        if let Some(fuse) = &mut disk.fuse {
            *fuse -= 1;
        }
        Ok(disk)
    }

    /// The machine dies after so many more operations: everything fails from then on, until the power cut.
    pub fn die_after(&self, operations: u64) {
        self.disk().fuse = Some(operations);
    }

    /// Cuts the power: unsynced writes are lost, torn or reordered. The handle returned is the machine started again.
    #[must_use]
    pub fn power_cut(&self) -> Self {
        let mut disk = self.disk();
        disk.cut();
        Self { disk: Arc::clone(&self.disk), life: disk.life }
    }

    /// The process dies, the machine lives on: nothing written is lost, and old handles are dead.
    #[must_use]
    pub fn process_death(&self) -> Self {
        let mut disk = self.disk();
        disk.begin_life();
        Self { disk: Arc::clone(&self.disk), life: disk.life }
    }

    /// Takes a part of the disk's promise out.
    pub fn mutate(&self, mutant: Mutant) {
        self.disk().mutant = Some(mutant);
    }

    /// So many bytes fit on the disk; `None`: any number.
    pub fn limit(&self, capacity: Option<u64>) {
        self.disk().capacity = capacity;
    }

    /// Bytes in all files.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.disk().used()
    }

    /// Syncs of files whose path holds this text fail with EIO, and drop what they should have saved.
    pub fn fail_sync(&self, path: Option<&str>) {
        self.disk().failing_sync = path.map(Into::into);
    }

    /// Writes to files whose path holds this text fail half-way with EIO.
    pub fn fail_write(&self, path: Option<&str>) {
        self.disk().failing_write = path.map(Into::into);
    }

    /// How often a file was synced.
    #[must_use]
    pub fn syncs(&self, path: &Path) -> u64 {
        self.disk().syncs.get(path).copied().unwrap_or(0)
    }

    /// All files, by path.
    #[must_use]
    pub fn paths(&self) -> Vec<PathBuf> {
        self.disk().names.keys().cloned().collect()
    }

    /// What a file holds.
    #[must_use]
    pub fn contents(&self, path: &Path) -> Option<Vec<u8>> {
        let disk = self.disk();
        Some(disk.inodes.get(disk.names.get(path)?)?.current.clone())
    }

    /// Changes a file behind the book's back, durably.
    pub fn tamper(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut disk = self.disk();
        let Some(inode) = disk.names.get(path).copied() else { return };
        if let Some(inode) = disk.inodes.get_mut(&inode) {
            change(&mut inode.current);
            inode.durable = inode.current.clone();
            inode.pending.clear();
        }
    }
}

impl Disk {
    /// xorshift64*: small, and the same everywhere.
    fn random(&mut self, below: u64) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) % below.max(1)
    }

    fn used(&self) -> u64 {
        self.names.values().filter_map(|inode| self.inodes.get(inode)).map(Inode::length).sum()
    }

    fn begin_life(&mut self) {
        self.life += 1;
        self.locked.clear();
        self.fuse = None;
    }

    fn cut(&mut self) {
        // Names go to the disk in order, so a beginning of the changes survives.
        let kept = self.random(self.pending_names.len() as u64 + 1) as usize;
        for (path, inode) in std::mem::take(&mut self.pending_names).into_iter().take(kept) {
            match inode {
                Some(inode) => self.durable_names.insert(path, inode),
                None => self.durable_names.remove(&path),
            };
        }
        self.names = self.durable_names.clone();
        let mut inodes = std::mem::take(&mut self.inodes);
        for inode in inodes.values_mut() {
            for change in std::mem::take(&mut inode.pending) {
                match change {
                    Change::Length(length) if self.random(2) == 0 => {
                        inode.durable.resize(length as usize, 0);
                    }
                    Change::Length(_) => {}
                    // Each sector for itself: kept or lost, in any order.
                    Change::Write(offset, bytes) => {
                        let mode = self.random(4);
                        let mut at = 0;
                        while at < bytes.len() {
                            let place = offset as usize + at;
                            let length = (SECTOR - place % SECTOR).min(bytes.len() - at);
                            let keep = match mode {
                                0 => false,
                                1 => true,
                                _ => self.random(2) == 0,
                            };
                            if keep {
                                put(&mut inode.durable, place, &bytes[at..at + length]);
                            }
                            at += length;
                        }
                    }
                }
            }
            inode.current = inode.durable.clone();
        }
        self.inodes = inodes;
        self.begin_life();
    }

    fn name(&mut self, path: &Path, inode: Option<u64>) {
        match inode {
            Some(inode) => self.names.insert(path.to_path_buf(), inode),
            None => self.names.remove(path),
        };
        self.pending_names.push((path.to_path_buf(), inode));
    }

    fn matches(path: &Path, text: &Option<String>) -> bool {
        text.as_ref().is_some_and(|text| path.to_string_lossy().contains(text.as_str()))
    }
}

impl Inode {
    fn length(&self) -> u64 {
        self.current.len() as u64
    }
}

fn put(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if file.len() < at + bytes.len() {
        file.resize(at + bytes.len(), 0);
    }
    file[at..at + bytes.len()].copy_from_slice(bytes);
}

impl Files for SimDisk {
    fn open(&self, path: &Path, how: How) -> io::Result<Box<dyn FileLike>> {
        let mut disk = self.alive()?;
        let there = disk.names.get(path).copied();
        let inode = match (there, how) {
            (Some(inode), How::Truncate) => {
                let file = disk.inodes.entry(inode).or_default();
                file.current.clear();
                file.pending.push(Change::Length(0));
                inode
            }
            (Some(inode), _) => inode,
            (None, How::Read | How::Write) => return Err(io::ErrorKind::NotFound.into()),
            (None, How::Create | How::Truncate) => {
                disk.next_inode += 1;
                let inode = disk.next_inode;
                disk.inodes.insert(inode, Inode::default());
                disk.name(path, Some(inode));
                inode
            }
        };
        let file = SimFile { disk: self.clone(), path: path.to_path_buf(), inode };
        Ok(Box::new(file))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let disk = self.alive()?;
        let inside = disk.names.keys().filter(|path| path.parent() == Some(folder));
        Ok(inside.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
    }

    fn create_folder(&self, _: &Path) -> io::Result<()> {
        self.alive().map(|_| ())
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let mut disk = self.alive()?;
        if disk.mutant == Some(Mutant::NoFolderSync) {
            return Ok(());
        }
        let pending = std::mem::take(&mut disk.pending_names);
        for (path, inode) in pending {
            if path.parent() != Some(folder) {
                disk.pending_names.push((path, inode));
                continue;
            }
            match inode {
                Some(inode) => disk.durable_names.insert(path, inode),
                None => disk.durable_names.remove(&path),
            };
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = self.alive()?;
        let inode = disk.names.get(from).copied().ok_or(io::ErrorKind::NotFound)?;
        // One change for the file system: never both names, never none.
        disk.name(to, Some(inode));
        disk.name(from, None);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.alive()?.name(path, None);
        Ok(())
    }

    fn exists(&self, path: &Path) -> bool {
        self.disk().names.contains_key(path)
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    path: PathBuf,
    inode: u64,
}

impl SimFile {
    fn with<T>(&self, act: impl FnOnce(&mut Inode) -> T) -> io::Result<T> {
        let mut disk = self.disk.alive()?;
        disk.inodes.get_mut(&self.inode).map(act).ok_or_else(|| error(EIO))
    }
}

impl FileLike for SimFile {
    fn len(&self) -> io::Result<u64> {
        self.with(|inode| inode.length())
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        self.with(|inode| {
            let Some(bytes) = inode.current.get(offset as usize..) else { return 0 };
            let count = bytes.len().min(into.len());
            into[..count].copy_from_slice(&bytes[..count]);
            count
        })
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut disk = self.disk.alive()?;
        let mut fits = bytes.len();
        let mut failed = None;
        if Disk::matches(&self.path, &disk.failing_write) {
            (fits, failed) = (bytes.len() / 2, Some(EIO));
        }
        let length = disk.inodes.get(&self.inode).map_or(0, Inode::length);
        let more = (offset + bytes.len() as u64).saturating_sub(length);
        if disk.capacity.is_some_and(|capacity| disk.used() + more > capacity) {
            (fits, failed) = (bytes.len() / 2, Some(ENOSPC));
        }
        if let Some(inode) = disk.inodes.get_mut(&self.inode) {
            put(&mut inode.current, offset as usize, &bytes[..fits]);
            inode.pending.push(Change::Write(offset, bytes[..fits].to_vec()));
        }
        failed.map_or(Ok(()), |code| Err(error(code)))
    }

    fn sync(&self) -> io::Result<()> {
        let mut disk = self.disk.alive()?;
        *disk.syncs.entry(self.path.clone()).or_default() += 1;
        let failing = Disk::matches(&self.path, &disk.failing_sync);
        let ignored = disk.mutant == Some(Mutant::NoSync);
        let Some(inode) = disk.inodes.get_mut(&self.inode) else { return Err(error(EIO)) };
        if failing {
            // The pages count as written from now on, and are not.
            inode.pending.clear();
            return Err(error(EIO));
        }
        if !ignored {
            inode.pending.clear();
            inode.durable = inode.current.clone();
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.with(|inode| {
            inode.current.resize(length as usize, 0);
            inode.pending.push(Change::Length(length));
        })
    }

    fn try_lock(&self) -> io::Result<bool> {
        let mut disk = self.disk.alive()?;
        Ok(disk.locked.insert(self.inode))
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let mut disk = self.disk.disk();
        if disk.life == self.disk.life && self.path.ends_with("lock") {
            disk.locked.remove(&self.inode);
        }
    }
}
