//! The list of erasures: a small text file beside the book's folder, so that no backup of the folder holds an older one.
//! A book restored from a backup has keys again that were destroyed since; the list says which.
//!
//! One line each: `# switchbook erasures 1 BOOK` first, then `person ID #POSITION MOMENT` or `month 2026-05 #POSITION
//! MOMENT`, each with the CRC32C of what stands before it, in eight hexadecimal digits, at its end. Restores read it too.

use crate::failure::{Failure, failed};
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use switchbook_core::erasure::Period;
use switchbook_core::id::{BookId, UserId};
use switchbook_core::personal::KeyId;
use switchbook_core::position::{Moment, Position};

/// The list, open for appending.
pub struct List {
    path: PathBuf,
    file: File,
    known: BTreeSet<KeyId>,
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

fn summed(text: &str) -> String {
    format!("{text} {:08x}\n", crc32c::crc32c(text.as_bytes()))
}

/// A line without its sum, if that is right.
fn checked(line: &str) -> Option<&str> {
    let (text, sum) = line.rsplit_once(' ')?;
    (format!("{:08x}", crc32c::crc32c(text.as_bytes())) == sum).then_some(text)
}

fn entry(text: &str) -> Option<KeyId> {
    let mut words = text.split(' ');
    match (words.next()?, words.next()?) {
        ("person", id) => Some(KeyId::Person(id.parse::<UserId>().ok()?)),
        ("month", month) => Some(month.parse::<Period>().ok()?.key()),
        _ => None,
    }
}

impl List {
    /// Opens the list of a book, or begins one.
    pub fn open(path: &Path, book: BookId, missing: Missing) -> Result<Self, Failure> {
        let name = path.display();
        let head = format!("# switchbook erasures 1 {book}");
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound && missing == Missing::Ask => {
                return Err(Failure::new(format!(
                    "the list of erasures {name} is missing. Was this book restored from a backup, or moved? Then keys in it may have been destroyed since, and people who were erased would be readable again"
                ))
                .advice(
                    "Put the list back there or name it with --erasures FILE (or `erasures` in the configuration). Only if it is lost for ever, start once with --accept-lost-erasures.",
                ));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                begin(path, &head).map_err(failed(&format!("the list {name} cannot be begun")))?;
                String::new()
            }
            Err(error) => return Err(failed(&format!("the list {name} cannot be read"))(error)),
        };
        let known = read(&text, &head).map_err(|line| {
            Failure::new(format!("the list of erasures {name} is damaged in line {line}"))
                .advice("Put it back from a copy: without it, people who were erased may be readable again.")
        })?;
        let file = OpenOptions::new().append(true).open(path);
        let file = file.map_err(failed(&format!("the list {name} cannot be opened")))?;
        if text.len() != text.trim_end_matches(|c| c != '\n').len() {
            // The last line was being written when the power went; its erasure is in the book.
            let whole = text.rfind('\n').map_or(0, |end| end + 1);
            let cut = file.set_len(whole as u64).and_then(|()| file.sync_data());
            cut.map_err(failed(&format!("the list {name} cannot be cut")))?;
        }
        Ok(Self { path: path.to_path_buf(), file, known })
    }

    /// What it holds.
    pub fn known(&self) -> impl Iterator<Item = KeyId> + '_ {
        self.known.iter().copied()
    }

    /// Is it in it?
    pub fn knows(&self, key: KeyId) -> bool {
        self.known.contains(&key)
    }

    /// Adds an erasure, durably; one that is there already is there.
    pub fn add(&mut self, key: KeyId, at: Position, now: Moment) -> Result<(), Failure> {
        if self.known.contains(&key) {
            return Ok(());
        }
        let what = match key {
            KeyId::Person(user) => format!("person {user}"),
            KeyId::Period(period) => format!("month {}", Period(period)),
        };
        let line = summed(&format!("{what} {at} {now}"));
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_data());
        let doing = format!("the list of erasures {} cannot be written", self.path.display());
        written.map_err(failed(&doing))?;
        self.known.insert(key);
        Ok(())
    }
}

fn begin(path: &Path, head: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(summed(head).as_bytes())?;
    file.sync_all()?;
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// The entries; or the number of the line that is none. A last line without its end was being written.
fn read(text: &str, head: &str) -> Result<BTreeSet<KeyId>, usize> {
    let mut known = BTreeSet::new();
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let Some(line) = line.strip_suffix('\n') else { break };
        let text = checked(line).ok_or(number + 1)?;
        if number == 0 {
            if text != head {
                return Err(1);
            }
            continue;
        }
        known.insert(entry(text).ok_or(number + 1)?);
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
