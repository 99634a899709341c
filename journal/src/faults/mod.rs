//! A disk in memory that behaves as badly as a real one may: what was not synced is lost, torn or reordered at a power
//! cut, names included; space runs out; writes and syncs fail, and what a failed sync covered is gone although it can
//! still be read; reads come short; a sync hangs. One seed, one behaviour. What is done to it can be recorded, and every
//! moment of the record be cut. For tests, behind the feature `faults`.

mod disk;
mod trace;

pub use disk::{Cut, Op};
pub use trace::Trace;

use crate::files::{FileLike, Files, How};
use disk::Disk;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// A part of the disk's promise that is taken out, to show that tests see it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mutant {
    /// Syncing a file does nothing.
    NoSync,
    /// Syncing a folder does nothing.
    NoFolderSync,
}

/// What the one operation does that is chosen to fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// EIO: a write is done by half, a sync drops what it should have saved, anything else is not done.
    Io,
    /// ENOSPC: a write is done by half, a new file is not made; other operations succeed.
    NoSpace,
}

/// The disk, as one life of the machine sees it: after [`SimDisk::power_cut`] only the new handle works.
#[derive(Clone, Debug)]
pub struct SimDisk {
    machine: Arc<Machine>,
    life: u64,
}

#[derive(Debug, Default)]
struct Machine {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    disk: Disk,
    life: u64,
    locked: BTreeSet<u64>,
    mutant: Option<Mutant>,
    /// Operations until the machine is dead.
    fuse: Option<u64>,
    /// Operations that change something until one fails.
    fault: Option<(u64, Fault)>,
    capacity: Option<u64>,
    failing_sync: Option<String>,
    failing_write: Option<String>,
    /// Syncs of these files hang.
    hanging: Option<String>,
    waiting: usize,
    /// Writes that did not fit.
    refusals: u64,
    short_reads: bool,
    syncs: BTreeMap<u64, u64>,
    trace: Option<Vec<Op>>,
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
        Self::of(Disk::new(seed))
    }

    fn of(disk: Disk) -> Self {
        let state = State { disk, ..State::default() };
        Self { machine: Arc::new(Machine { state: state.into(), ..Machine::default() }), life: 0 }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.machine.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an operation and gives the disk, if this life of the machine still goes on.
    fn alive(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        if state.life != self.life || state.fuse == Some(0) {
            return Err(error(EIO));
        }
        if let Some(fuse) = &mut state.fuse {
            *fuse -= 1;
        }
        Ok(state)
    }

    /// The machine dies after so many more operations: everything fails from then on, until the power cut.
    pub fn die_after(&self, operations: u64) {
        self.state().fuse = Some(operations);
    }

    /// One operation that changes something fails, after so many more that do not.
    pub fn fail_after(&self, operations: u64, fault: Fault) {
        self.state().fault = Some((operations, fault));
    }

    /// Has the operation failed that was to fail?
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.state().fault.is_none()
    }

    /// Cuts the power: unsynced writes are lost, torn or reordered. The handle returned is the machine started again.
    #[must_use]
    pub fn power_cut(&self) -> Self {
        self.cut(Cut::Some)
    }

    /// The process dies, the machine lives on: nothing written is lost, and old handles are dead.
    #[must_use]
    pub fn process_death(&self) -> Self {
        let mut state = self.state();
        state.begin_life();
        Self { machine: Arc::clone(&self.machine), life: state.life }
    }

    /// Cuts the power, and says what is left of unsynced writes.
    #[must_use]
    pub fn cut(&self, cut: Cut) -> Self {
        let mut state = self.state();
        state.disk.cut(cut);
        state.begin_life();
        Self { machine: Arc::clone(&self.machine), life: state.life }
    }

    /// Takes a part of the disk's promise out.
    pub fn mutate(&self, mutant: Mutant) {
        self.state().mutant = Some(mutant);
    }

    /// So many bytes fit on the disk; `None`: any number.
    pub fn limit(&self, capacity: Option<u64>) {
        self.state().capacity = capacity;
    }

    /// How many writes did not fit so far.
    #[must_use]
    pub fn refusals(&self) -> u64 {
        self.state().refusals
    }

    /// Bytes in all files.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.state().disk.used()
    }

    /// Syncs of files whose path holds this text fail with EIO, and drop what they should have saved.
    pub fn fail_sync(&self, path: Option<&str>) {
        self.state().failing_sync = path.map(Into::into);
    }

    /// Writes to files whose path holds this text fail half-way with EIO.
    pub fn fail_write(&self, path: Option<&str>) {
        self.state().failing_write = path.map(Into::into);
    }

    /// Syncs of files whose path holds this text hang until told otherwise: a slow disk, without waiting for one.
    pub fn hang(&self, path: Option<&str>) {
        self.state().hanging = path.map(Into::into);
        self.machine.changed.notify_all();
    }

    /// Waits until a sync hangs.
    pub fn until_something_hangs(&self) {
        let wait = |state: &mut State| state.waiting == 0;
        drop(self.machine.changed.wait_while(self.state(), wait));
    }

    /// Reads give fewer bytes than were asked for, now and then.
    pub fn read_short(&self) {
        self.state().short_reads = true;
    }

    /// How often the file that has this name now was synced.
    #[must_use]
    pub fn syncs(&self, path: &Path) -> u64 {
        let state = self.state();
        let inode = state.disk.names.get(path);
        inode.and_then(|inode| state.syncs.get(inode)).copied().unwrap_or(0)
    }

    /// All files, by path.
    #[must_use]
    pub fn paths(&self) -> Vec<PathBuf> {
        self.state().disk.names.keys().cloned().collect()
    }

    /// What a file holds.
    #[must_use]
    pub fn contents(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state();
        Some(state.disk.inodes.get(state.disk.names.get(path)?)?.current.clone())
    }

    /// Changes a file behind the book's back, durably.
    pub fn tamper(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        let Some(inode) = state.disk.names.get(path).copied() else { return };
        if let Some(inode) = state.disk.inodes.get_mut(&inode) {
            inode.tamper(change);
        }
    }

    /// Records everything that changes the disk from now on, which must be empty.
    pub fn record(&self) {
        self.state().trace = Some(Vec::new());
    }

    /// Makes a note in the record.
    pub fn note(&self, note: u64) {
        self.state().apply(Op::Note(note));
    }

    /// How many operations were recorded.
    #[must_use]
    pub fn recorded(&self) -> usize {
        self.state().trace.as_ref().map_or(0, Vec::len)
    }

    /// What was recorded.
    #[must_use]
    pub fn trace(&self) -> Trace {
        Trace(self.state().trace.clone().unwrap_or_default())
    }
}

impl State {
    fn begin_life(&mut self) {
        self.life += 1;
        self.locked.clear();
        (self.fuse, self.fault) = (None, None);
    }

    fn apply(&mut self, op: Op) {
        self.disk.apply(&op);
        if let Some(trace) = &mut self.trace {
            trace.push(op);
        }
    }

    /// Does the operation that comes now fail?
    fn fault(&mut self) -> Option<Fault> {
        let (after, fault) = self.fault?;
        self.fault = after.checked_sub(1).map(|after| (after, fault));
        (after == 0).then_some(fault)
    }

    /// A change of names or lengths, which happens whole or not at all.
    fn whole(&mut self, op: Op) -> io::Result<()> {
        if self.fault() == Some(Fault::Io) {
            return Err(error(EIO));
        }
        self.apply(op);
        Ok(())
    }

    fn length(&self, inode: u64) -> u64 {
        self.disk.inodes.get(&inode).map_or(0, |inode| inode.current.len() as u64)
    }
}

fn matches(path: &Path, text: Option<&String>) -> bool {
    text.is_some_and(|text| path.to_string_lossy().contains(text.as_str()))
}

impl Files for SimDisk {
    fn open(&self, path: &Path, how: How) -> io::Result<Box<dyn FileLike>> {
        let mut state = self.alive()?;
        let inode = match (state.disk.names.get(path).copied(), how) {
            (Some(inode), How::Truncate) => {
                state.whole(Op::Length { inode, length: 0 })?;
                inode
            }
            (Some(inode), _) => inode,
            (None, How::Read | How::Write) => return Err(io::ErrorKind::NotFound.into()),
            (None, How::Create | How::Truncate) => {
                let inode = state.disk.next_inode();
                match state.fault() {
                    Some(Fault::Io) => return Err(error(EIO)),
                    Some(Fault::NoSpace) => return Err(error(ENOSPC)),
                    None => {}
                }
                state.apply(Op::Name { path: path.to_path_buf(), inode: Some(inode) });
                inode
            }
        };
        let file = SimFile { disk: self.clone(), path: path.to_path_buf(), inode };
        Ok(Box::new(file))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let state = self.alive()?;
        let inside = state.disk.names.keys().filter_map(|path| path.strip_prefix(folder).ok());
        let names = inside.filter_map(|path| path.iter().next()?.to_str().map(ToOwned::to_owned));
        Ok(names.collect::<BTreeSet<_>>().into_iter().collect())
    }

    fn create_folder(&self, _: &Path) -> io::Result<()> {
        self.alive().map(|_| ())
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let mut state = self.alive()?;
        if state.mutant == Some(Mutant::NoFolderSync) {
            return Ok(());
        }
        state.whole(Op::SyncFolder { folder: folder.to_path_buf() })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.alive()?;
        if !state.disk.names.contains_key(from) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.whole(Op::Rename { from: from.to_path_buf(), to: to.to_path_buf() })
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.alive()?;
        let inode = state.disk.names.get(from).copied().ok_or(io::ErrorKind::NotFound)?;
        state.whole(Op::Name { path: to.to_path_buf(), inode: Some(inode) })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.alive()?.whole(Op::Name { path: path.to_path_buf(), inode: None })
    }

    fn exists(&self, path: &Path) -> bool {
        self.state().disk.names.contains_key(path)
    }

    fn free(&self, _: &Path) -> io::Result<u64> {
        let state = self.alive()?;
        Ok(state.capacity.map_or(u64::MAX, |most| most.saturating_sub(state.disk.used())))
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    path: PathBuf,
    inode: u64,
}

impl FileLike for SimFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.alive()?.length(self.inode))
    }

    fn read_some_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.disk.alive()?;
        let short = state.short_reads && state.disk.random(3) == 0;
        let most =
            if short { state.disk.random(into.len() as u64) as usize + 1 } else { usize::MAX };
        let inode = state.disk.inodes.get(&self.inode).ok_or_else(|| error(EIO))?;
        let Some(bytes) = inode.current.get(offset as usize..) else { return Ok(0) };
        let count = bytes.len().min(into.len()).min(most);
        into[..count].copy_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.alive()?;
        let more = (offset + bytes.len() as u64).saturating_sub(state.length(self.inode));
        let failed = match state.fault() {
            _ if matches(&self.path, state.failing_write.as_ref()) => Some(EIO),
            _ if state.capacity.is_some_and(|most| state.disk.used() + more > most) => Some(ENOSPC),
            Some(Fault::Io) => Some(EIO),
            Some(Fault::NoSpace) => Some(ENOSPC),
            None => None,
        };
        state.refusals += u64::from(failed == Some(ENOSPC));
        let fits = if failed.is_some() { bytes.len() / 2 } else { bytes.len() };
        state.apply(Op::Write { inode: self.inode, offset, bytes: bytes[..fits].to_vec() });
        failed.map_or(Ok(()), |code| Err(error(code)))
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.alive()?;
        *state.syncs.entry(self.inode).or_default() += 1;
        if matches(&self.path, state.hanging.as_ref()) {
            state.waiting += 1;
            self.disk.machine.changed.notify_all();
            let hangs = |state: &mut State| matches(&self.path, state.hanging.as_ref());
            let waited = self.disk.machine.changed.wait_while(state, hangs);
            state = waited.unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
        let inode = self.inode;
        if matches(&self.path, state.failing_sync.as_ref()) || state.fault() == Some(Fault::Io) {
            // The pages count as written from now on, and are not.
            state.apply(Op::SyncLost { inode });
            return Err(error(EIO));
        }
        if state.mutant != Some(Mutant::NoSync) {
            state.apply(Op::Sync { inode });
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.disk.alive()?.whole(Op::Length { inode: self.inode, length })
    }

    fn try_lock(&self) -> io::Result<bool> {
        let mut state = self.disk.alive()?;
        Ok(state.locked.insert(self.inode))
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if state.life == self.disk.life && self.path.ends_with("lock") {
            state.locked.remove(&self.inode);
        }
    }
}
