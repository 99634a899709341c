//! Leases: refreshes of registrations that change nothing but their end (architecture.md, way 3). In memory at once,
//! on disk within a second, in a small file of their own. After an unclean stop that second is added to every end.

use crate::bytes::Reader;
use crate::error::{Damage, LeaseError, OpenError};
use crate::files::{FileLike, Files, read_first, replace};
use rustc_hash::{FxHashMap, FxHashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use switchbook_core::id::{BookId, DeviceId};
use switchbook_core::position::{Moment, Position};
use switchbook_core::registration::BindingId;

pub(crate) const NAME: &str = "leases";
const MAGIC: [u8; 8] = *b"SWBKLSE\n";
const VERSION: u16 = 1;
const HEAD: usize = 36;
/// An entry: kind, device, binding, end, CSeq, checksum.
const ENTRY: usize = 37;
/// The file is written anew when it is this much longer than its leases need.
const SLACK: usize = 1024 * 1024;
/// Room for a million and a half of leases; what stands behind it nobody wrote as leases.
const LONGEST: u64 = 64 * 1024 * 1024;

/// How long a lease may wait for the disk; added to every end after an unclean stop.
const GRACE_SECONDS: i64 = 1;

/// Until when a binding is good, and the CSeq of the REGISTER that said so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lease {
    /// When it ends unless refreshed.
    pub expires_at: Moment,
    /// The last CSeq seen (RFC 3261 §10.3 step 7).
    pub cseq: u32,
}

type Key = (DeviceId, BindingId);

/// All leases of a book. Cloning gives another handle to the same.
#[derive(Clone, Debug)]
pub struct Leases(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    files: Arc<dyn Files>,
    folder: PathBuf,
    book: BookId,
    live: Mutex<Live>,
    /// Held while writing, so that renewals never wait for the disk.
    disk: Mutex<Disk>,
}

#[derive(Debug, Default)]
struct Live {
    leases: FxHashMap<Key, Lease>,
    /// Changed since the last write.
    due: FxHashSet<Key>,
}

#[derive(Debug)]
struct Disk {
    /// `None`: the file must be written anew before anything is appended.
    file: Option<Box<dyn FileLike>>,
    length: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Renewed = 1,
    Removed = 2,
    /// The file was closed properly; nothing stands behind it.
    Closed = 3,
}

impl Leases {
    /// Opens the leases of a book, and counts what of the file does not check. That is no reason to stop: a lease that
    /// does not check is as good as none, since the binding's event has an end too.
    pub(crate) fn open(
        files: Arc<dyn Files>,
        folder: &Path,
        book: BookId,
    ) -> Result<(Self, usize), OpenError> {
        let bytes = read_first(&*files, &folder.join(NAME), LONGEST)
            .map_err(OpenError::io("reading the leases"))?;
        let bytes = bytes.unwrap_or_default();
        let mut reader = Reader(&bytes);
        let magic = reader.array::<8>();
        if let (Some(MAGIC), Some(found)) = (magic, reader.u16())
            && found > VERSION
        {
            return Err(OpenError::Newer { file: NAME.into(), found, known: VERSION });
        }
        let ours = bytes.get(..HEAD) == Some(&head(book)[..]);
        let body = bytes.get(HEAD..).unwrap_or(&[]);
        let (mut leases, clean, mut bad) = parse(if ours { body } else { &[] });
        if !ours {
            // Of another book, or with a head that does not check: all of it is lost.
            bad = bytes.len().saturating_sub(HEAD).div_ceil(ENTRY);
        }
        if !clean {
            for lease in leases.values_mut() {
                lease.expires_at = lease.expires_at.plus_seconds(GRACE_SECONDS);
            }
        }
        let live = Mutex::new(Live { leases, due: FxHashSet::default() });
        let disk = Mutex::new(Disk { file: None, length: 0 });
        let folder = folder.to_path_buf();
        let opened = Self(Arc::new(Inner { files, folder, book, live, disk }));
        // Written anew at once: the mark of a proper close is gone before anything can happen.
        opened.0.flush(false).map_err(OpenError::io("writing the leases"))?;
        Ok((opened, bad))
    }

    /// Renews a lease: in memory at once, on disk within a second.
    pub fn renew(&self, device: DeviceId, binding: BindingId, expires_at: Moment, cseq: u32) {
        let mut live = self.0.live();
        live.leases.insert((device, binding), Lease { expires_at, cseq });
        live.due.insert((device, binding));
    }

    /// Forgets a lease: its binding is gone.
    pub fn remove(&self, device: DeviceId, binding: BindingId) {
        let mut live = self.0.live();
        if live.leases.remove(&(device, binding)).is_some() {
            live.due.insert((device, binding));
        }
    }

    /// The lease of a binding, if it was refreshed since its event.
    #[must_use]
    pub fn get(&self, device: DeviceId, binding: BindingId) -> Option<Lease> {
        self.0.live().leases.get(&(device, binding)).copied()
    }

    /// All leases, in no order.
    #[must_use]
    pub fn all(&self) -> Vec<(DeviceId, BindingId, Lease)> {
        let live = self.0.live();
        live.leases.iter().map(|((device, binding), lease)| (*device, *binding, *lease)).collect()
    }

    /// Keeps only leases that `keep` says yes to: at start, those whose binding still stands in the book.
    pub fn retain(&self, mut keep: impl FnMut(DeviceId, BindingId) -> bool) {
        let mut live = self.0.live();
        let Live { leases, due } = &mut *live;
        leases.retain(|(device, binding), _| {
            let kept = keep(*device, *binding);
            if !kept {
                due.insert((*device, *binding));
            }
            kept
        });
    }

    /// The whole file as it would be if it were closed properly now, for a backup.
    pub(crate) fn snapshot(&self) -> Vec<u8> {
        let live = self.0.live();
        let mut bytes = whole(self.0.book, &live.leases);
        push_closed(&mut bytes);
        bytes
    }

    /// Puts on disk what is due. The book does this twice a second by itself.
    ///
    /// # Errors
    /// When the disk fails: nothing is lost from memory, and the next flush writes the whole file anew.
    pub fn flush(&self) -> Result<(), LeaseError> {
        Ok(self.0.flush(false)?)
    }

    /// Puts on disk what is due, and marks the file as closed properly.
    pub(crate) fn close(&self) -> Result<(), LeaseError> {
        Ok(self.0.flush(true)?)
    }
}

impl Inner {
    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn flush(&self, closing: bool) -> io::Result<()> {
        let mut disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        let (bytes, anew) = {
            let mut live = self.live();
            if live.due.is_empty() && disk.file.is_some() && !closing {
                return Ok(());
            }
            let needed = HEAD + live.leases.len() * ENTRY;
            let anew =
                disk.file.is_none() || disk.length + live.due.len() * ENTRY > 2 * needed + SLACK;
            let due = std::mem::take(&mut live.due);
            let mut bytes = Vec::new();
            if anew {
                bytes = whole(self.book, &live.leases);
            } else {
                for key in due {
                    match live.leases.get(&key) {
                        Some(lease) => push(Kind::Renewed, key, *lease, &mut bytes),
                        None => push(Kind::Removed, key, GONE, &mut bytes),
                    }
                }
            }
            (bytes, anew)
        };
        let mut bytes = bytes;
        if closing {
            push_closed(&mut bytes);
        }
        let at = disk.length as u64;
        let written = match (&disk.file, anew) {
            (Some(file), false) => file.write_at(&bytes, at).and_then(|()| file.sync()),
            _ => replace(&*self.files, &self.folder, NAME, &bytes).map(|file| {
                (disk.file, disk.length) = (Some(file), 0);
            }),
        };
        if written.is_ok() {
            disk.length += bytes.len();
        }
        // After a failure what the file holds is uncertain: the next flush writes all leases into a new one.
        written.inspect_err(|_| disk.file = None)
    }
}

const GONE: Lease = Lease { expires_at: Moment(0), cseq: 0 };

fn head(book: BookId) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend(VERSION.to_le_bytes());
    out.extend([0; 6]);
    out.extend(book.bytes());
    out.extend(crc32c::crc32c(&out).to_le_bytes());
    out
}

fn whole(book: BookId, leases: &FxHashMap<Key, Lease>) -> Vec<u8> {
    let mut bytes = head(book);
    for (key, lease) in leases {
        push(Kind::Renewed, *key, *lease, &mut bytes);
    }
    bytes
}

fn push_closed(out: &mut Vec<u8>) {
    push(Kind::Closed, (DeviceId(uuid::Uuid::nil()), BindingId(0)), GONE, out);
}

fn push(kind: Kind, (device, binding): Key, lease: Lease, out: &mut Vec<u8>) {
    let at = out.len();
    out.push(kind as u8);
    out.extend(device.bytes());
    out.extend(binding.0.to_le_bytes());
    out.extend(lease.expires_at.0.to_le_bytes());
    out.extend(lease.cseq.to_le_bytes());
    out.extend(crc32c::crc32c(&out[at..]).to_le_bytes());
}

/// Entries of the file in a book's folder that do not check, for auditors. A bad end is no damage: the second before a
/// crash may be half written.
///
/// # Errors
/// When the file cannot be read; a file that is not there has no bad entries.
pub fn check(folder: &Path, book: BookId) -> io::Result<Vec<Damage>> {
    let bytes =
        read_first(&crate::files::RealFiles, &folder.join(NAME), LONGEST)?.unwrap_or_default();
    let damage = |offset: usize, what: &str| Damage {
        file: NAME.into(),
        offset: offset as u64,
        position: Position::START,
        what: what.into(),
    };
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    if bytes.get(..HEAD) != Some(head(book).as_slice()) {
        return Ok(vec![damage(0, "its head is not that of this book")]);
    }
    let sound = |entry: &[u8]| {
        let (body, sum) = entry.split_at(ENTRY - 4);
        crc32c::crc32c(body).to_le_bytes() == sum && matches!(body[0], 1..=3)
    };
    let entries: Vec<bool> = bytes[HEAD..].chunks_exact(ENTRY).map(sound).collect();
    let last = entries.iter().rposition(|sound| *sound).unwrap_or(0);
    let bad = entries.iter().take(last).enumerate().filter(|(_, sound)| !**sound);
    Ok(bad.map(|(n, _)| damage(HEAD + n * ENTRY, "a lease does not check")).collect())
}

/// The leases in a file, whether it was closed properly, and how many entries do not check and were passed over.
fn parse(body: &[u8]) -> (FxHashMap<Key, Lease>, bool, usize) {
    let mut leases = FxHashMap::default();
    let (mut closed, mut bad) = (body.is_empty(), 0);
    for entry in body.chunks(ENTRY) {
        closed = false;
        let mut reader = Reader(entry);
        let read = (|| {
            let kind = reader.u8()?;
            let key = (DeviceId(reader.uuid()?), BindingId(reader.u32()?));
            let (expires_at, cseq) = (Moment(reader.i64()?), reader.u32()?);
            let sum = reader.u32()?;
            (sum == crc32c::crc32c(&entry[..ENTRY - 4])).then_some((
                kind,
                key,
                Lease { expires_at, cseq },
            ))
        })();
        match read {
            Some((1, key, lease)) => {
                leases.insert(key, lease);
            }
            Some((2, key, _)) => {
                leases.remove(&key);
            }
            Some((3, ..)) => closed = true,
            // An entry whose page was lost must not bring an older end back for good; it only ends sooner.
            _ => bad += 1,
        }
    }
    (leases, closed, bad)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::RealFiles;

    const BOOK: BookId = BookId(uuid::Uuid::from_u128(5));

    fn device(n: u128) -> DeviceId {
        DeviceId(uuid::Uuid::from_u128(n))
    }

    fn open(folder: &Path) -> Leases {
        Leases::open(Arc::new(RealFiles), folder, BOOK).unwrap().0
    }

    #[test]
    fn a_clean_stop_keeps_every_end_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let leases = open(folder.path());
        leases.renew(device(1), BindingId(1), Moment(5_000_000), 7);
        leases.renew(device(1), BindingId(2), Moment(6_000_000), 8);
        leases.remove(device(1), BindingId(2));
        leases.close().unwrap();
        let again = open(folder.path());
        let lease = Lease { expires_at: Moment(5_000_000), cseq: 7 };
        assert_eq!(again.all(), [(device(1), BindingId(1), lease)]);
    }

    #[test]
    fn an_unclean_stop_adds_the_second_that_may_not_have_reached_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let leases = open(folder.path());
        leases.renew(device(1), BindingId(1), Moment(5_000_000), 7);
        leases.flush().unwrap();
        leases.renew(device(2), BindingId(1), Moment(9_000_000), 7);
        drop(leases);
        let again = open(folder.path());
        assert_eq!(again.get(device(1), BindingId(1)).unwrap().expires_at, Moment(6_000_000));
        assert_eq!(again.get(device(2), BindingId(1)), None);
    }

    #[test]
    fn the_file_stays_small_however_often_leases_are_renewed() {
        let folder = tempfile::tempdir().unwrap();
        let leases = open(folder.path());
        for round in 0..40_000 {
            leases.renew(device(round % 40), BindingId(1), Moment(round as i64), round as u32);
            if round % 40 == 0 {
                leases.flush().unwrap();
            }
        }
        leases.close().unwrap();
        assert!(std::fs::metadata(folder.path().join(NAME)).unwrap().len() < 2_000_000);
        assert_eq!(open(folder.path()).all().len(), 40);
    }

    #[test]
    fn a_bit_flipped_in_a_lease_loses_that_lease_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let leases = open(folder.path());
        for n in 0..10 {
            leases.renew(device(n), BindingId(1), Moment(1), 1);
        }
        leases.close().unwrap();
        let path = folder.path().join(NAME);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[HEAD + 3 * ENTRY + 20] ^= 4;
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(open(folder.path()).all().len(), 9);
    }
}
