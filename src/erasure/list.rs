//! The list of erasures: a small text file beside the book's folder, so that no backup of the folder holds an older one.
//! A book restored from a backup has keys again that were destroyed since; the list says which.
//!
//! What stands in it is [`ErasureList`]'s, which restores read it with too.

use crate::failure::{Failure, failed};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use switchbook_core::id::BookId;
use switchbook_core::personal::KeyId;
use switchbook_core::position::{Moment, Position};
use switchbook_journal::backup::{BackupError, ErasureList};
use switchbook_journal::files::{open_regular, read_text};

/// The list, open for writing.
pub struct List {
    path: PathBuf,
    file: File,
    list: ErasureList,
}

/// What is there when the server starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Missing {
    /// The book was made just now: a list is begun.
    Begin,
    /// The book is older: somebody moved it, or restored it from a backup, and is asked for the list.
    Ask,
    /// Somebody said that there is none any more.
    Accept,
}

/// Where the list is when nothing else is said: beside the folder, never in it.
pub fn beside(data: &Path) -> PathBuf {
    let mut name = data.file_name().unwrap_or_else(|| "switchbook".as_ref()).to_owned();
    name.push(".erasures");
    data.with_file_name(name)
}

impl List {
    /// Opens the list of a book, or begins one. One that was never begun wholly is as one that is missing.
    pub fn open(path: &Path, book: BookId, missing: Missing) -> Result<Self, Failure> {
        let name = path.display();
        let text = match read_text(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(failed(&format!("the list {name} cannot be read"))(error)),
        };
        let mut list = match ErasureList::read(&text, book) {
            Ok(Some(list)) => list,
            Ok(None) if missing == Missing::Ask => {
                return Err(Failure::new(format!(
                    "the list of erasures {name} is missing, or nothing is in it. Was this book restored from a backup, or moved? Then keys in it may have been destroyed since, and people who were erased would be readable again"
                ))
                .advice(
                    "Put the list back there or name it with --erasures FILE (or `erasures` in the configuration). Only if it is lost for ever, start once with --accept-lost-erasures.",
                ));
            }
            Ok(None) => {
                let (list, text) = ErasureList::begin(book);
                let begun = write_whole(path, &text);
                begun.map_err(failed(&format!("the list {name} cannot be begun")))?;
                list
            }
            Err(error) => return Err(refused(path, &error)),
        };
        if let Some((renewed, text)) = list.renewed(&text, book) {
            match write_whole(path, &text) {
                Ok(()) => list = renewed,
                // As it is, it is a list still, which does not tell when a line is gone.
                Err(error) => tracing::warn!(%error, "the list {name} stays in the older format"),
            }
        }
        let file = open_regular(OpenOptions::new().write(true), path);
        let file = file.map_err(failed(&format!("the list {name} cannot be opened")))?;
        // A last line that was being written when the power went goes; its erasure is in the book.
        let cut = match list.is_torn() {
            true => file.set_len(list.whole() as u64).and_then(|()| file.sync_data()),
            false => Ok(()),
        };
        cut.map_err(failed(&format!("the list {name} cannot be cut")))?;
        Ok(Self { path: path.to_path_buf(), file, list })
    }

    /// What it holds.
    pub fn known(&self) -> impl Iterator<Item = KeyId> + '_ {
        self.list.keys()
    }

    /// Is it in it?
    pub fn knows(&self, key: KeyId) -> bool {
        self.list.knows(key)
    }

    /// Adds an erasure, durably; one that is there already is there.
    pub fn add(&mut self, key: KeyId, at: Position, now: Moment) -> Result<(), Failure> {
        if self.list.knows(key) {
            return Ok(());
        }
        let line = self.list.line(key, at, now);
        let end = self.list.whole() as u64;
        // What is left of a line that the disk did not take is not a part of this one.
        let written = (self.file.set_len(end))
            .and_then(|()| self.file.write_all_at(line.as_bytes(), end))
            .and_then(|()| self.file.sync_data());
        let doing = format!("the list of erasures {} cannot be written", self.path.display());
        written.map_err(failed(&doing))?;
        self.list.take(key, &line);
        Ok(())
    }
}

fn refused(path: &Path, error: &BackupError) -> Failure {
    let name = path.display();
    match error {
        BackupError::Erasures { line, .. } => Failure::new(format!(
            "the list of erasures {name} is damaged in line {line}, or a line before it is gone"
        ))
        .advice(
            "Put it back from a copy: without it, people who were erased may be readable again. Only if there is none, move it away and start once with --accept-lost-erasures: what the book knows to be erased is written anew.",
        ),
        BackupError::ErasuresOfAnother { found, expected } => Failure::new(format!(
            "the list of erasures {name} is of the book {found}, and this is the book {expected}"
        ))
        .advice("Name the list of this book with --erasures FILE (or `erasures` in the configuration)."),
        error => Failure::new(format!("{name}: {error}")),
    }
}

/// Writes a list anew: after a power cut there is the old one or the new one, never a part of either. Where the name is a
/// link, there it stays.
fn write_whole(path: &Path, text: &str) -> std::io::Result<()> {
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let mut fresh = path.clone().into_os_string();
    fresh.push(".new");
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&fresh, &path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchbook_core::id::UserId;

    const BOOK: BookId = BookId(uuid::Uuid::from_u128(5));

    #[test]
    fn erasures_are_kept_and_a_half_written_one_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        let (ada, month) =
            (KeyId::Person(UserId(uuid::Uuid::from_u128(1))), KeyId::Period(202_605));
        let mut list = List::open(&path, BOOK, Missing::Begin).unwrap();
        list.add(ada, Position(3), Moment(0)).unwrap();
        list.add(ada, Position(3), Moment(0)).unwrap();
        list.add(month, Position(4), Moment(0)).unwrap();
        let whole = std::fs::read_to_string(&path).unwrap();
        assert_eq!(whole.lines().count(), 3);
        // Whoever restores a backup reads the same list.
        let read = switchbook_journal::backup::read_erasures(&whole, BOOK).unwrap();
        assert_eq!(read, [ada, month]);
        // Neither takes a line that is none, as one to which a remark was made of it.
        for remark in
            [whole.replace("\nperson", "\n#person"), whole.replace("\nmonth", "\n\nmonth")]
        {
            assert!(switchbook_journal::backup::read_erasures(&remark, BOOK).is_err());
            std::fs::write(&path, &remark).unwrap();
            assert!(List::open(&path, BOOK, Missing::Ask).is_err());
        }
        std::fs::write(&path, &whole[..whole.len() - 5]).unwrap();
        let mut list = List::open(&path, BOOK, Missing::Ask).unwrap();
        assert_eq!(list.known().collect::<Vec<_>>(), [ada]);
        list.add(month, Position(4), Moment(0)).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), whole);
    }

    #[test]
    fn a_damaged_list_another_books_and_a_missing_one_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        let refused = |missing| List::open(&path, BOOK, missing).err().unwrap().to_string();
        assert!(refused(Missing::Ask).contains("restored from a backup"));
        let mut list = List::open(&path, BOOK, Missing::Accept).unwrap();
        list.add(KeyId::Period(202_605), Position(4), Moment(0)).unwrap();
        let other = BookId(uuid::Uuid::from_u128(6));
        assert!(List::open(&path, other, Missing::Ask).is_err());
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("2026-05", "2026-06")).unwrap();
        assert!(refused(Missing::Ask).contains("line 2"));
        assert_eq!(
            beside(Path::new("/var/lib/switchbook")),
            Path::new("/var/lib/switchbook.erasures")
        );
    }

    /// The power went while it was begun: no head is as no list, and what is added afterwards is not lost.
    #[test]
    fn a_list_without_a_whole_head_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        drop(List::open(&path, BOOK, Missing::Begin).unwrap());
        let head = std::fs::read_to_string(&path).unwrap();
        let month = KeyId::Period(202_605);
        let parts = (0..head.len()).map(|end| head[..end].to_owned()).chain(["\0".repeat(99)]);
        for part in parts {
            std::fs::write(&path, &part).unwrap();
            let refused = List::open(&path, BOOK, Missing::Ask).err();
            let told = refused.map(|failure| failure.to_string()).unwrap_or_default();
            assert!(told.contains("restored from a backup"), "{part:?}: {told}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), part, "nothing is written");
            for missing in [Missing::Begin, Missing::Accept] {
                std::fs::write(&path, &part).unwrap();
                let mut list = List::open(&path, BOOK, missing).unwrap();
                list.add(month, Position(4), Moment(0)).unwrap();
                let list = List::open(&path, BOOK, Missing::Ask).unwrap();
                assert!(list.knows(month), "{part:?}");
            }
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing stays beside it");
        // What is none of ours is not written over.
        std::fs::write(&path, "# another file").unwrap();
        let refused = List::open(&path, BOOK, Missing::Begin).err().unwrap().to_string();
        assert!(refused.contains("line 1"), "{refused}");
    }

    /// A list that is a link to another disk stays there.
    #[test]
    fn a_list_behind_a_link_is_begun_where_the_link_leads() {
        let folder = tempfile::tempdir().unwrap();
        let (path, there) = (folder.path().join("list"), folder.path().join("elsewhere"));
        std::fs::write(&there, "").unwrap();
        std::os::unix::fs::symlink(&there, &path).unwrap();
        drop(List::open(&path, BOOK, Missing::Begin).unwrap());
        assert!(path.is_symlink());
        assert!(std::fs::read_to_string(&there).unwrap().starts_with("# switchbook"));
    }

    #[test]
    fn a_list_that_is_no_regular_file_holds_up_nobody() {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        let refused = List::open(&path, BOOK, Missing::Begin).err().unwrap();
        assert!(refused.to_string().contains("no regular file"), "{refused}");
    }

    /// An older Switchbook's sums were each of one line: a line that was taken out was not missed.
    #[test]
    fn a_line_that_is_gone_is_missed_and_an_older_list_is_read_and_renewed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        let person = UserId(uuid::Uuid::from_u128(1));
        let older = [
            format!("# switchbook erasures 1 {BOOK}"),
            format!("person {person} #3 1970-01-01T00:00:00.000Z"),
            "month 2026-05 #4 1970-01-01T00:00:00.000Z".to_owned(),
        ];
        let summed = |text: &String| format!("{text} {:08x}\n", crc32c::crc32c(text.as_bytes()));
        std::fs::write(&path, older.iter().map(summed).collect::<String>()).unwrap();
        let (ada, month, later) =
            (KeyId::Person(person), KeyId::Period(202_605), KeyId::Period(202_606));
        let mut list = List::open(&path, BOOK, Missing::Ask).unwrap();
        list.add(later, Position(5), Moment(0)).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        assert_eq!(lines.len(), 4);
        assert!(lines[0].starts_with("# switchbook erasures 2 "), "{text}");
        let list = List::open(&path, BOOK, Missing::Ask).unwrap();
        assert_eq!(list.known().collect::<Vec<_>>(), [ada, month, later]);
        for gone in 1..3 {
            let mut left = lines.clone();
            left.remove(gone);
            std::fs::write(&path, left.concat()).unwrap();
            assert!(List::open(&path, BOOK, Missing::Ask).is_err(), "line {gone}");
            assert!(switchbook_journal::backup::read_erasures(&left.concat(), BOOK).is_err());
            let mut moved = lines.clone();
            moved.swap(gone, gone + 1);
            assert!(switchbook_journal::backup::read_erasures(&moved.concat(), BOOK).is_err());
        }
    }
}
